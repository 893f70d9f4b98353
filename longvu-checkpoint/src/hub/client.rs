//! Requests to the Hub.

use std::{fmt, io, time::Duration};

use longvu_core::{Cancelled, ErrorKind};
use serde::Deserialize;
use ureq::{
    Agent, Body,
    http::{Method, Request, Response, Uri, header},
};

use super::{
    Listing,
    cache::{home, is_plain},
    env,
};
use crate::files;

/// Why a request came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The server refused.
    Status { status: u16, url: String },
    /// The connection failed, or ended early.
    Transfer(String),
    /// The server said something that the Hub would not.
    Answer(String),
    /// A file without a stated size went on after as many bytes as it may have.
    Endless { name: String, limit: u64 },
    /// The cache could not be written.
    Disk(std::path::PathBuf, io::Error),
    /// No thread could be started.
    Thread(io::Error),
    /// The watcher wants no more.
    Cancelled(Cancelled),
}

impl From<Cancelled> for Failure {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

impl Failure {
    /// Whether another attempt may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transfer(_) => true,
            Self::Status { status, .. } => matches!(status, 408 | 416 | 429 | 500..),
            Self::Answer(_) | Self::Endless { .. } | Self::Disk(..) | Self::Thread(_) | Self::Cancelled(_) => false,
        }
    }

    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Status { .. } | Self::Transfer(_) | Self::Answer(_) => ErrorKind::NotFound,
            Self::Endless { .. } => ErrorKind::DoesNotFit,
            Self::Disk(_, error) => error.kind().into(),
            Self::Thread(_) => ErrorKind::Internal,
            Self::Cancelled(_) => ErrorKind::Cancelled,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, url } => write!(f, "the server answered {status} to {url}"),
            Self::Transfer(reason) | Self::Answer(reason) => f.write_str(reason),
            Self::Endless { name, limit } => {
                write!(f, "{name} goes on after {limit} bytes, and the server does not say how many it has")
            }
            Self::Disk(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Thread(error) => write!(f, "no thread could be started ({error})"),
            Self::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

/// What the Hub says about a file before it is fetched.
pub struct Metadata {
    /// Names the content in the cache.
    pub etag: String,
    /// Size in bytes, if stated.
    pub size: Option<u64>,
}

/// Speaks to one endpoint.
pub struct Client {
    agent: Agent,
    /// For short answers, which must be there in time as a whole.
    brief: Agent,
    endpoint: String,
    token: Option<String>,
}

/// Redirects followed before giving up.
const MOST_REDIRECTS: usize = 10;
/// Bytes of a file with a token, which has 40.
const MOST_TOKEN: u64 = 1 << 16;
/// A repository with many files has a listing of some megabytes.
const MOST_JSON: u64 = 64 << 20;

impl Client {
    pub fn from_env() -> Self {
        let endpoint = env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let config = || {
            Agent::config_builder()
                // Redirects are followed here, so that the token goes to no other host.
                .max_redirects(0)
                .http_status_as_error(false)
                .accept_encoding("identity")
                .user_agent(concat!("longvu/", env!("CARGO_PKG_VERSION"), "; rust"))
                .timeout_connect(Some(Duration::from_secs(30)))
                .timeout_recv_response(Some(Duration::from_secs(60)))
                .timeout_per_read(Some(Duration::from_secs(60)))
        };
        let brief = config().timeout_global(Some(Duration::from_secs(120))).build().into();
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        Self { agent: config().build().into(), brief, endpoint, token: token() }
    }

    /// The files of repository `id` at `revision`, and its commit.
    pub fn list(&self, id: &str, revision: &str) -> Result<Listing, Failure> {
        #[derive(Deserialize)]
        struct Info {
            sha: Option<String>,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }

        let url = format!("{}/api/models/{id}/revision/{}", self.endpoint, revision.replace('/', "%2F"));
        let answer = |error: &dyn fmt::Display| Failure::Answer(format!("the answer of {url} is no listing ({error})"));
        let mut response = self.follow(&self.brief, Method::GET, &url, None, false)?;
        let text = response.body_mut().with_config().limit(MOST_JSON).read_to_string();
        let text = text.map_err(|e| Failure::Transfer(format!("{url}: {e}")))?;
        let info: Info = serde_json::from_str(&text).map_err(|e| answer(&e))?;
        let commit = info.sha.unwrap_or_else(|| revision.to_owned());
        if !is_plain(&commit, &[]) {
            return Err(answer(&format!("its commit is `{commit}`")));
        }
        Ok(Listing { commit, files: info.siblings.into_iter().map(|s| s.rfilename).collect() })
    }

    /// Address of file `name` of repository `id` at `commit`.
    pub fn url(&self, id: &str, commit: &str, name: &str) -> String {
        format!("{}/{id}/resolve/{commit}/{name}", self.endpoint)
    }

    /// What the Hub itself says about the file at `url`, which it may keep on another host.
    pub fn metadata(&self, url: &str) -> Result<Metadata, Failure> {
        let response = self.follow(&self.brief, Method::HEAD, url, None, true)?;
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = text("x-linked-etag").or_else(|| text("etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        if !is_plain(&etag, &[]) {
            return Err(Failure::Answer(format!("the answer to {url} has the unusable etag `{etag}`")));
        }
        // Of an answer that redirects, the length is that of the redirection.
        let length = text("content-length").filter(|_| !response.status().is_redirection());
        Ok(Metadata { etag, size: text("x-linked-size").or(length).and_then(|size| size.parse().ok()) })
    }

    /// The bytes of the file at `url` from `start`; the server may answer with the whole file (status 200) instead.
    pub fn read_from(&self, url: &str, start: u64) -> Result<Response<Body>, Failure> {
        self.follow(&self.agent, Method::GET, url, (start > 0).then_some(start), false)
    }

    /// Sends a request and follows redirects; those to another host too, unless `stay`.
    fn follow(
        &self,
        agent: &Agent,
        method: Method,
        url: &str,
        start: Option<u64>,
        stay: bool,
    ) -> Result<Response<Body>, Failure> {
        let bad = |error: &dyn fmt::Display| Failure::Answer(format!("{url}: {error}"));
        let mut target: Uri = url.parse().map_err(|e| bad(&e))?;
        let home = target.authority().cloned();
        let mut trusted = true;
        for _ in 0..MOST_REDIRECTS {
            let mut request = Request::builder().method(method.clone()).uri(&target);
            // Once a redirect has led elsewhere, even back is where another host points to.
            trusted &= is_of(&self.endpoint, &target);
            if let (Some(token), true) = (&self.token, trusted) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if let Some(start) = start {
                request = request.header(header::RANGE, format!("bytes={start}-"));
            }
            let request =
                request.body(()).map_err(|_| bad(&"HF_TOKEN or the address has characters that cannot be sent"))?;
            let response = agent.run(request).map_err(|e| Failure::Transfer(format!("{target}: {e}")))?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION).filter(|_| status.is_redirection());
            let Some(location) = location else {
                if status.is_success() {
                    return Ok(response);
                }
                return Err(Failure::Status { status: status.as_u16(), url: url.to_owned() });
            };
            let next = location.to_str().ok().and_then(|text| resolve(&target, text));
            let next = next.ok_or_else(|| bad(&"the server redirects to an address that cannot be read"))?;
            if stay && next.authority() != home.as_ref() {
                return Ok(response);
            }
            target = next;
        }
        Err(bad(&"the server redirects in circles"))
    }
}

/// Whether `target` is on the same scheme, host and port as `endpoint`.
fn is_of(endpoint: &str, target: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = if scheme == "https" { 443 } else { 80 };
        Some((scheme, uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(usual)))
    };
    let endpoint = endpoint.parse::<Uri>().ok().and_then(|uri| origin(&uri));
    endpoint.is_some() && endpoint == origin(target)
}

/// `location`, which may lack scheme and host, as seen from `base`.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with("//") {
        return format!("{}:{location}", base.scheme_str()?).parse().ok();
    }
    let uri: Uri = location.parse().ok()?;
    if uri.authority().is_some() {
        return Some(uri);
    }
    let mut parts = base.clone().into_parts();
    parts.path_and_query = uri.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

/// The user's token: `HF_TOKEN`, else the file that a login has left.
fn token() -> Option<String> {
    if let Some(token) = env("HF_TOKEN").or_else(|| env("HUGGING_FACE_HUB_TOKEN")) {
        return Some(token);
    }
    let path = env("HF_TOKEN_PATH").map(Into::into).or_else(|| home().ok().map(|home| home.join("token")))?;
    let token = String::from_utf8(files::read_limited(&path, MOST_TOKEN).ok()?).ok()?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_s_host_is_one_scheme_name_and_port() {
        let of = |endpoint: &str, target: &str| is_of(endpoint, &target.parse().unwrap());
        let hub = "https://huggingface.co";
        for target in ["https://huggingface.co/a/b", "https://HuggingFace.co:443/a", "HTTPS://huggingface.co/"] {
            assert!(of(hub, target), "{target}");
        }
        for target in [
            "http://huggingface.co/a/b",
            "http://huggingface.co:443/a",
            "https://huggingface.co:8443/a",
            "https://cdn.huggingface.co/a",
            "https://huggingface.co.example.org/a",
            "https://huggingface.co@example.org/a",
            "/a/b",
        ] {
            assert!(!of(hub, target), "{target}");
        }
        assert!(of("http://localhost:8080/mirror", "http://localhost:8080/a"));
        assert!(!of("http://localhost:8080", "http://localhost:8081/a"));
        assert!(!of("http://localhost", "https://localhost/a"));
        assert!(!of("no address", "no"));
    }
}
