//! How a server is set up.

use std::{fmt, path::PathBuf, time::Duration};

use longvu::Preset;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::decode::Isolation;

/// How a server is set up. [`ServerConfig::default`] listens to nobody, reaches no other host and opens no file of its own
/// accord: what is allowed is named.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The model's name in the protocol. Default: `longvu`.
    pub model_name: String,
    /// Whether the model is the built-in one, which knows drawn videos only; the page says so. Default: no.
    pub miniature: bool,
    /// Where the stages' settings come from unless a request names another. Default: the published package.
    pub preset: Preset,
    /// Keys that clients must have one of; none means that no key is asked for.
    pub api_keys: Vec<ApiKey>,
    /// Bytes of an upload, and of what a URL gives. Default: 512 MiB.
    pub max_upload: u64,
    /// Bytes of a request's JSON, videos in it included; larger ones are uploaded. Default: 64 MiB.
    pub max_body: u64,
    /// Bytes of all uploads together. Default: eight uploads.
    pub max_stored: Option<u64>,
    /// Sampled frames of a video; a request that asks for more is refused. Default: 3600, an hour at one a second.
    pub max_frames: usize,
    /// Seconds of a video. Default: 12 hours.
    pub max_seconds: f64,
    /// Pixels of a frame or picture. Default: 2^26, twice an 8K screen's.
    pub max_pixels: u64,
    /// Memory that a decoder may take, in bytes. Default: 2 GiB.
    pub decode_memory: u64,
    /// Time for decoding one video. Default: 30 minutes.
    pub decode_time: Duration,
    /// Where videos are decoded. Default: in a process of its own.
    pub isolation: Isolation,
    /// Requests that are worked at side by side. Default: 4, as many as decode together at the price of one.
    pub parallel: usize,
    /// Requests that wait when so many are worked at; more are refused with 503. Default: 16.
    pub queue: usize,
    /// Bytes of encoded videos that are kept in memory, and in [`cache_dir`](Self::cache_dir). Default: 2 GiB.
    pub cache: u64,
    /// Where encoded videos are kept beyond a restart.
    pub cache_dir: Option<PathBuf>,
    /// Where uploads and downloads are kept while they are needed. Default: the system's folder for temporary files.
    pub temp_dir: Option<PathBuf>,
    /// Hosts of which URLs are fetched, as `example.com`, `*.example.com` or `example.com:8443`; none by default.
    pub allow_urls: Vec<String>,
    /// Folders of which files may be named; none by default.
    pub allow_folders: Vec<PathBuf>,
    /// Names under which a server without keys may be reached beside the loopback's.
    pub allow_hosts: Vec<String>,
    /// Bytes of memory to stay within beyond the loaded model; what the machine has left unless set.
    pub memory: Option<u64>,
    /// Whether `/metrics` is there. Default: no.
    pub metrics: bool,
    /// Whether the page at `/` is there. Default: yes.
    pub page: bool,
    /// Time that running requests get when the server is told to stop. Default: 30 seconds.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            model_name: "longvu".into(),
            miniature: false,
            preset: Preset::Package,
            api_keys: Vec::new(),
            max_upload: 512 << 20,
            max_body: 64 << 20,
            max_stored: None,
            max_frames: 3600,
            max_seconds: 12.0 * 3600.0,
            max_pixels: 1 << 26,
            decode_memory: 2 << 30,
            decode_time: Duration::from_secs(30 * 60),
            isolation: Isolation::CurrentProgram,
            parallel: 4,
            queue: 16,
            cache: 2 << 30,
            cache_dir: None,
            temp_dir: None,
            allow_urls: Vec::new(),
            allow_folders: Vec::new(),
            allow_hosts: Vec::new(),
            memory: None,
            metrics: false,
            page: true,
            grace: Duration::from_secs(30),
        }
    }
}

/// A key that a client must show.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

impl ApiKey {
    /// A key of visible ASCII characters; `None` for anything else, which no client could send.
    pub fn new(key: &str) -> Option<Self> {
        (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(digest(key.as_bytes())))
    }

    /// Whether `given` is this key, in a time that does not depend on where they differ, nor on the key's length.
    pub(crate) fn is(&self, given: &[u8]) -> subtle::Choice {
        self.0.ct_eq(&digest(given))
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl fmt::Debug for ApiKey {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}
