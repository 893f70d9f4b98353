//! As much of the Hub as a download sees: the listing, file addresses, and a second host for large files.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use crate::chunks;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
    /// Whether it reached the second host.
    pub elsewhere: bool,
}

/// How the server behaves.
#[derive(Default)]
pub struct Behaviour {
    /// Only a bearer of this token is served.
    pub token: Option<String>,
    /// Sends at most so many bytes of a body, this many times.
    pub cut: Option<(usize, usize)>,
    /// Sends so many bytes of a body, and nothing more for ten seconds.
    pub stall: Option<usize>,
    /// After the cuts, sends no byte of such a body.
    pub then_nothing: bool,
    /// Answers with this status, this many times.
    pub fail: Option<(u16, usize)>,
    /// Files are kept by the second host.
    pub redirect: bool,
    /// Ranges are ignored: the whole file comes each time.
    pub whole: bool,
    /// States this size, whatever the file has.
    pub claims: Option<usize>,
    /// Commit of the branch, when it is not [`COMMIT`].
    pub commit: Option<String>,
    /// Commits that are no longer there.
    pub gone: Vec<String>,
    /// States no sizes, and sends files for ever.
    pub endless: bool,
    /// The second host sends back to the first.
    pub bounce: bool,
    /// Weights are kept by the second host in chunks.
    pub chunks: bool,
}

struct State {
    files: HashMap<String, Vec<u8>>,
    behaviour: Behaviour,
    seen: Vec<Seen>,
    endpoint: String,
    elsewhere: String,
}

/// A running server for the repository `owner/model`.
pub struct Server {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start(files: &[(&str, Vec<u8>)], behaviour: Behaviour) -> Self {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let state = State { files, behaviour, seen: Vec::new(), endpoint: String::new(), elsewhere: String::new() };
        let state = Arc::new(Mutex::new(state));
        let endpoint = listen(state.clone(), false);
        let elsewhere = listen(state.clone(), true);
        state.lock().unwrap().elsewhere = elsewhere;
        state.lock().unwrap().endpoint.clone_from(&endpoint);
        Self { endpoint, state }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub fn forget(&self) {
        self.state.lock().unwrap().seen.clear();
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.lock().unwrap().behaviour);
    }
}

fn listen(state: Arc<Mutex<State>>, elsewhere: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = state.clone();
            std::thread::spawn(move || serve(stream, &state, elsewhere));
        }
    });
    address
}

/// Name of the content, as the Hub forms it.
pub fn etag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    format!("{hash:016x}{:024x}", bytes.len())
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, elsewhere: bool) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let range = headers.get("range").cloned();
    let authorization = headers.get("authorization").cloned();
    let mut state = state.lock().unwrap();
    state.seen.push(Seen {
        method: method.clone(),
        path: path.clone(),
        range: range.clone(),
        authorization: authorization.clone(),
        elsewhere,
    });
    let (head, body) = answer(&mut state, &method, &path, range, authorization, elsewhere);
    let mut sent = body.len();
    let spent = state.behaviour.cut.is_none_or(|(_, times)| times == 0);
    if spent && state.behaviour.then_nothing && path.contains("model.safetensors") {
        sent = 0;
    }
    if let Some((bytes, times)) = &mut state.behaviour.cut
        && *times > 0
        && *bytes < sent
        && method == "GET"
        && path.contains("model.safetensors")
    {
        *times -= 1;
        sent = *bytes;
    }
    let endless = state.behaviour.endless && path.starts_with("/owner");
    let stall = state.behaviour.stall.filter(|&bytes| bytes < sent && path.contains("model.safetensors"));
    drop(state);
    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    if method == "GET" {
        stream.write_all(&body[..stall.unwrap_or(sent)]).ok()?;
        if stall.is_some() {
            std::thread::sleep(std::time::Duration::from_secs(10));
        }
    }
    if endless && method == "GET" {
        loop {
            stream.write_all(&[b' '; 1 << 12]).ok()?;
        }
    }
    Some(())
}

/// Status line with headers, and the body.
fn answer(
    state: &mut State,
    method: &str,
    path: &str,
    range: Option<String>,
    authorization: Option<String>,
    elsewhere: bool,
) -> (String, Vec<u8>) {
    let plain = |status: &str| (format!("{status}\r\ncontent-length: 0"), Vec::new());
    if let Some((status, times)) = &mut state.behaviour.fail
        && *times > 0
        && method == "GET"
    {
        *times -= 1;
        return plain(&format!("{status} Trouble"));
    }
    let expected = state.behaviour.token.as_ref().map(|token| format!("Bearer {token}"));
    if !elsewhere && expected.is_some() && authorization != expected {
        return plain("401 Unauthorized");
    }
    if elsewhere && state.behaviour.bounce {
        let head = format!("302 Found\r\nlocation: {}{path}?back\r\ncontent-length: 0", state.endpoint);
        return (head, Vec::new());
    }
    let commit = state.behaviour.commit.clone().unwrap_or_else(|| COMMIT.into());
    if state.behaviour.chunks && path.contains("/xet-read-token/") {
        let json =
            serde_json::json!({ "accessToken": chunks::TOKEN, "exp": 4_000_000_000u64, "casUrl": state.elsewhere });
        let body = json.to_string().into_bytes();
        return (format!("200 OK\r\ncontent-length: {}", body.len()), body);
    }
    if state.behaviour.chunks && elsewhere {
        let bytes = &state.files["model.safetensors"];
        return chunks::answer(path, range.as_deref(), bytes, &state.elsewhere)
            .unwrap_or_else(|| plain("404 Not Found"));
    }
    if let Some(revision) = path.strip_prefix("/api/models/owner/model/revision/") {
        let known = revision == "main" || revision == "refs%2Fpr%2F1" || revision.len() == 40;
        if !known || state.behaviour.gone.iter().any(|gone| gone == revision) {
            return plain("404 Not Found");
        }
        let sha = if revision.len() == 40 { revision } else { &commit };
        let siblings: Vec<_> = state.files.keys().map(|name| serde_json::json!({ "rfilename": name })).collect();
        let body = serde_json::json!({ "id": "owner/model", "sha": sha, "siblings": siblings }).to_string();
        return (format!("200 OK\r\ncontent-length: {}", body.len()), body.into_bytes());
    }
    let name = path.strip_prefix("/owner/model/resolve/").and_then(|rest| rest.split_once('/'));
    let Some((revision, name)) = name else { return plain("404 Not Found") };
    let Some(bytes) = state.files.get(name) else { return plain("404 Not Found") };
    let size = state.behaviour.claims.unwrap_or(bytes.len());
    let in_chunks = state.behaviour.chunks && name == "model.safetensors";
    if (state.behaviour.redirect || in_chunks) && !elsewhere {
        let hash = if in_chunks { format!("x-xet-hash: {}\r\n", chunks::HASH) } else { String::new() };
        let head = format!(
            "302 Found\r\nlocation: {}{path}\r\nx-linked-etag: \"{}\"\r\nx-linked-size: {size}\r\n{hash}\
             x-repo-commit: {revision}\r\netag: \"of-the-pointer\"\r\ncontent-length: 5",
            state.elsewhere,
            etag(bytes)
        );
        return (head, b"Found".to_vec());
    }
    let start = range.filter(|_| !state.behaviour.whole);
    let start = start.and_then(|r| r.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    if state.behaviour.endless {
        return (format!("200 OK\r\netag: W/\"{}\"\r\nx-repo-commit: {revision}", etag(bytes)), bytes.clone());
    }
    let common = format!("etag: W/\"{}\"\r\nx-repo-commit: {revision}", etag(bytes));
    match start {
        Some(start) if start >= bytes.len() => plain("416 Range Not Satisfiable"),
        Some(start) => {
            let (last, total) = (bytes.len() - 1, bytes.len());
            let length = total - start;
            let head = format!(
                "206 Partial Content\r\n{common}\r\ncontent-range: bytes {start}-{last}/{total}\r\n\
                 content-length: {length}"
            );
            (head, bytes[start..].to_vec())
        }
        None => {
            let length = if method == "HEAD" { size } else { bytes.len() };
            (format!("200 OK\r\n{common}\r\ncontent-length: {length}"), bytes.clone())
        }
    }
}
