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
    /// Bytes of memory to stay within beyond the loaded model, kept videos included; what the machine has left unless set.
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

impl ServerConfig {
    /// Sets [`model_name`](Self::model_name).
    #[must_use]
    pub fn with_model_name(mut self, model_name: impl Into<String>) -> Self {
        self.model_name = model_name.into();
        self
    }

    /// Sets [`miniature`](Self::miniature).
    #[must_use]
    pub fn with_miniature(mut self, miniature: bool) -> Self {
        self.miniature = miniature;
        self
    }

    /// Sets [`preset`](Self::preset).
    #[must_use]
    pub fn with_preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// Sets [`api_keys`](Self::api_keys).
    #[must_use]
    pub fn with_api_keys(mut self, api_keys: impl IntoIterator<Item = ApiKey>) -> Self {
        self.api_keys = api_keys.into_iter().collect();
        self
    }

    /// Sets [`max_upload`](Self::max_upload).
    #[must_use]
    pub fn with_max_upload(mut self, max_upload: u64) -> Self {
        self.max_upload = max_upload;
        self
    }

    /// Sets [`max_body`](Self::max_body).
    #[must_use]
    pub fn with_max_body(mut self, max_body: u64) -> Self {
        self.max_body = max_body;
        self
    }

    /// Sets [`max_stored`](Self::max_stored).
    #[must_use]
    pub fn with_max_stored(mut self, max_stored: u64) -> Self {
        self.max_stored = Some(max_stored);
        self
    }

    /// Sets [`max_frames`](Self::max_frames).
    #[must_use]
    pub fn with_max_frames(mut self, max_frames: usize) -> Self {
        self.max_frames = max_frames;
        self
    }

    /// Sets [`max_seconds`](Self::max_seconds).
    #[must_use]
    pub fn with_max_seconds(mut self, max_seconds: f64) -> Self {
        self.max_seconds = max_seconds;
        self
    }

    /// Sets [`max_pixels`](Self::max_pixels).
    #[must_use]
    pub fn with_max_pixels(mut self, max_pixels: u64) -> Self {
        self.max_pixels = max_pixels;
        self
    }

    /// Sets [`decode_memory`](Self::decode_memory).
    #[must_use]
    pub fn with_decode_memory(mut self, decode_memory: u64) -> Self {
        self.decode_memory = decode_memory;
        self
    }

    /// Sets [`decode_time`](Self::decode_time).
    #[must_use]
    pub fn with_decode_time(mut self, decode_time: Duration) -> Self {
        self.decode_time = decode_time;
        self
    }

    /// Sets [`isolation`](Self::isolation).
    #[must_use]
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets [`parallel`](Self::parallel).
    #[must_use]
    pub fn with_parallel(mut self, parallel: usize) -> Self {
        self.parallel = parallel;
        self
    }

    /// Sets [`queue`](Self::queue).
    #[must_use]
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Sets [`cache`](Self::cache).
    #[must_use]
    pub fn with_cache(mut self, cache: u64) -> Self {
        self.cache = cache;
        self
    }

    /// Sets [`cache_dir`](Self::cache_dir).
    #[must_use]
    pub fn with_cache_dir(mut self, cache_dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(cache_dir.into());
        self
    }

    /// Sets [`temp_dir`](Self::temp_dir).
    #[must_use]
    pub fn with_temp_dir(mut self, temp_dir: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(temp_dir.into());
        self
    }

    /// Sets [`allow_urls`](Self::allow_urls).
    #[must_use]
    pub fn with_allow_urls(mut self, allow_urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow_urls = allow_urls.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`allow_folders`](Self::allow_folders).
    #[must_use]
    pub fn with_allow_folders(mut self, allow_folders: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.allow_folders = allow_folders.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`allow_hosts`](Self::allow_hosts).
    #[must_use]
    pub fn with_allow_hosts(mut self, allow_hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow_hosts = allow_hosts.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`memory`](Self::memory).
    #[must_use]
    pub fn with_memory(mut self, memory: u64) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Sets [`metrics`](Self::metrics).
    #[must_use]
    pub fn with_metrics(mut self, metrics: bool) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets [`grace`](Self::grace).
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets [`page`](Self::page).
    #[must_use]
    pub fn with_page(mut self, page: bool) -> Self {
        self.page = page;
        self
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
