//! What the Hub says and sends: by `hf-hub`, and by `hf-xet` where it keeps a file in its chunk store.

use std::{fmt, future::Future, io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hf_hub::{
    HFClient, HFError,
    repository::{HFRepository, RepoTypeModel},
};
use longvu_core::{Cancelled, ErrorKind, text::chain};
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};
use xet::xet_session::{XetConfig, XetDownloadStream, XetFileInfo, XetSessionBuilder};

use super::{
    Listing,
    cache::{home, is_plain},
    env, is_on,
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

impl From<HFError> for Failure {
    fn from(error: HFError) -> Self {
        match &error {
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RateLimited { context, .. }
            | HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. }
            | HFError::EntryNotFound { context: Some(context), .. } => {
                Self::Status { status: context.status.as_u16(), url: context.url.clone() }
            }
            HFError::Request { source, .. } if !is_malformed(source) => Self::Transfer(chain(&error)),
            HFError::Xet { .. } | HFError::Io(_) => Self::Transfer(chain(&error)),
            _ => Self::Answer(chain(&error)),
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::from(HFError::from(error))
    }
}

/// Whether an answer came whole and was not what it should be.
fn is_malformed(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<serde_json::Error>() {
            return true;
        }
        cause = error.source();
    }
    error.is_builder()
}

/// What the Hub says about a file before it is fetched.
#[derive(Clone)]
pub struct Metadata {
    /// Names the content in the cache.
    pub etag: String,
    /// Size in bytes, if stated.
    pub size: Option<u64>,
    /// Names the content in the chunk store, if it is kept there.
    pub chunks: Option<String>,
}

/// Names a file of a repository.
#[derive(Clone)]
pub struct Place {
    pub id: String,
    pub commit: String,
    pub name: String,
}

/// The bytes of a file, as they come.
pub struct Body {
    /// Position of the first byte.
    pub start: u64,
    /// The whole file's size, if the answer states it.
    pub size: Option<u64>,
    source: Source,
}

enum Source {
    Http(Box<dyn Stream<Item = Result<Bytes, HFError>> + Send + Unpin>),
    Chunks(XetDownloadStream),
}

impl Body {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let next = async {
            match &mut self.source {
                Source::Http(stream) => stream.next().await.transpose().map_err(Failure::from),
                Source::Chunks(stream) => stream.next().await.map_err(|error| Failure::Transfer(chain(&error))),
            }
        };
        within(SILENCE, next).await
    }
}

/// Speaks to one endpoint.
pub struct Client {
    endpoint: String,
    token: Option<String>,
}

/// Redirects followed before giving up.
const MOST_REDIRECTS: usize = 10;
/// Bytes of a file with a token, which has 40.
const MOST_TOKEN: u64 = 1 << 16;
/// Time in which a connection must be made.
const CONNECT: Duration = Duration::from_secs(30);
/// Time in which a server that sends a file must send something of it.
const SILENCE: Duration = Duration::from_secs(60);
/// Time in which a short answer must be there as a whole.
const BRIEF: Duration = Duration::from_secs(120);

impl Client {
    pub fn from_env() -> Self {
        let endpoint = env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), token: token() }
    }

    /// The files of repository `id` at `revision`, and its commit.
    pub async fn list(&self, id: &str, revision: &str) -> Result<Listing, Failure> {
        let repo = self.repo(id)?;
        let info = within(BRIEF, async { Ok(repo.info().revision(revision).send().await?) }).await?;
        let commit = info.sha.unwrap_or_else(|| revision.to_owned());
        if !is_plain(&commit, &[]) {
            return Err(Failure::Answer(format!("the listing of {id} is of the commit `{commit}`")));
        }
        let files = info.siblings.into_iter().flatten().map(|sibling| sibling.rfilename);
        Ok(Listing { commit, files: files.collect() })
    }

    /// What the Hub itself says about a file, which it may keep on another host.
    ///
    /// `hf-hub` 1.0 asks that other host, which does not know.
    pub async fn metadata(&self, place: &Place) -> Result<Metadata, Failure> {
        let Place { id, commit, name } = place;
        let url = format!("{}/{id}/resolve/{commit}/{name}", self.endpoint);
        let bad = |reason: &dyn fmt::Display| Failure::Answer(format!("{url}: {reason}"));
        let http = http(Policy::none())?;
        let home: Url = url.parse().map_err(|error| bad(&error))?;
        let mut target = home.clone();
        for _ in 0..MOST_REDIRECTS {
            let request = http.head(target.clone()).headers(self.authorization()).send();
            let response = within(BRIEF, async { Ok(request.await?) }).await?;
            let status = response.status();
            if !status.is_redirection() && !status.is_success() {
                return Err(Failure::Status { status: status.as_u16(), url });
            }
            let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let next = text(LOCATION.as_str()).filter(|_| status.is_redirection());
            let next = next.map(|next| target.join(next)).transpose().map_err(|error| bad(&error))?;
            if let Some(next) = next.filter(|next| next.origin() == home.origin()) {
                target = next;
                continue;
            }
            let etag = text("x-linked-etag").or_else(|| text("etag")).unwrap_or_default();
            let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
            if !is_plain(&etag, &[]) {
                return Err(bad(&format!("the answer has the unusable etag `{etag}`")));
            }
            // Of an answer that redirects, the length is that of the redirection.
            let length = text("content-length").filter(|_| !status.is_redirection());
            let size = text("x-linked-size").or(length).and_then(|size| size.parse().ok());
            let chunks = text("x-xet-hash").filter(|_| !is_on("HF_HUB_DISABLE_XET")).map(str::to_owned);
            return Ok(Metadata { etag, size, chunks });
        }
        Err(bad(&"the server redirects in circles"))
    }

    /// The bytes of a file from `start`, or from its beginning where the server does not send parts.
    pub async fn open(&self, place: &Place, metadata: &Metadata, start: u64) -> Result<Body, Failure> {
        match (&metadata.chunks, metadata.size) {
            (Some(hash), Some(size)) if size > 0 => self.open_chunks(place, hash, size, start).await,
            (_, size) => self.open_http(place, size, start).await,
        }
    }

    async fn open_http(&self, place: &Place, size: Option<u64>, start: u64) -> Result<Body, Failure> {
        let Place { id, commit, name } = place;
        let repo = self.repo(id)?;
        // Without a size there is no telling a part from the whole.
        let range = size.filter(|&size| 0 < start && start < size).map(|size| start..size);
        let part = range.clone();
        let answer = repo.download_file_stream().filename(name).revision(commit).maybe_range(range);
        let (length, stream) = within(BRIEF, async { Ok(answer.send().await?) }).await?;
        let source = Source::Http(stream);
        match (part, length) {
            (Some(part), Some(length)) if length == part.end - part.start => Ok(Body { start, size, source }),
            (Some(part), None) => Ok(Body { start: part.start, size, source }),
            _ => Ok(Body { start: 0, size: length, source }),
        }
    }

    async fn open_chunks(&self, place: &Place, hash: &str, size: u64, start: u64) -> Result<Body, Failure> {
        let Place { id, commit, .. } = place;
        let failed = |error: &dyn std::error::Error| Failure::Transfer(format!("{}: {}", place.name, chain(error)));
        let mut config = XetConfig::new();
        // Nobody was asked.
        config.telemetry.enabled = false;
        let session = XetSessionBuilder::new_with_config(config).build().map_err(|error| failed(&error))?;
        let tokens = format!("{}/api/models/{id}/xet-read-token/{commit}", self.endpoint);
        let group = session.new_download_stream_group().map_err(|error| failed(&error))?;
        let group = group.with_token_refresh_url(tokens, self.authorization()).build();
        let stream = async {
            let group = group.await.map_err(|error| failed(&error))?;
            let part = (start > 0).then_some(start..size);
            let stream = group.download_stream(XetFileInfo::new(hash.to_owned(), size), part).await;
            stream.map_err(|error| failed(&error))
        };
        let mut stream = within(BRIEF, stream).await?;
        stream.start();
        Ok(Body { start, size: Some(size), source: Source::Chunks(stream) })
    }

    fn repo(&self, id: &str) -> Result<HFRepository<RepoTypeModel>, Failure> {
        let hub = HFClient::builder().endpoint(&self.endpoint).client(http(Policy::default())?).retry_max_attempts(0);
        let hub = match &self.token {
            Some(token) => hub.token(token),
            None => hub,
        };
        let (owner, name) = hf_hub::split_id(id);
        Ok(hub.build()?.model(owner, name))
    }

    /// The token, as a header; of what cannot be one, nothing is said.
    fn authorization(&self) -> HeaderMap {
        let value = self.token.as_ref().and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        value.into_iter().map(|value| (AUTHORIZATION, value)).collect()
    }
}

fn http(redirects: Policy) -> Result<reqwest::Client, Failure> {
    let http = reqwest::Client::builder().redirect(redirects).connect_timeout(CONNECT).read_timeout(SILENCE);
    Ok(http.user_agent(concat!("longvu/", env!("CARGO_PKG_VERSION"), "; rust")).build()?)
}

/// What comes within `time`, or a failure of the connection.
async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || Failure::Transfer(format!("the server said nothing for {} seconds", time.as_secs()));
    tokio::time::timeout(time, answer).await.unwrap_or_else(|_| Err(late()))
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
