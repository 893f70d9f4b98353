//! A server of its own for each test, and a client.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The golden folder.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

pub fn video(name: &str) -> PathBuf {
    golden().join("videos").join(name)
}

/// A server, until it is dropped.
pub struct Server {
    pub child: Child,
    pub address: String,
    /// What it wrote to stderr so far.
    pub log: Arc<Mutex<String>>,
    /// Where it keeps its temporary files.
    pub temp: TempDir,
}

impl Server {
    /// Starts one on a free port, with the miniature.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    pub fn start_in(temp: TempDir, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longvu"));
        command.env_remove("LONGVU_MODEL").env_remove("RUST_LOG").env("LONGVU_NO_MEMORY_CHECK", "1");
        command.env("TMPDIR", temp.path()).args(["serve", "--port", "0"]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended: {}", log.lock().unwrap());
            log.lock().unwrap().push_str(&line);
            if let Some((_, rest)) = line.split_once(" at http://") {
                break rest.trim_end().split(';').next().unwrap().to_owned();
            }
        };
        let tail = Arc::clone(&log);
        thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|read| read > 0) {
                tail.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        Self { child, address, log, temp }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> Reply {
        Reply::of(agent().get(self.url(path)).call().unwrap())
    }

    pub fn get_with_key(&self, path: &str, authorization: &str) -> Reply {
        Reply::of(agent().get(self.url(path)).header("Authorization", authorization).call().unwrap())
    }

    pub fn delete(&self, path: &str) -> Reply {
        Reply::of(agent().delete(self.url(path)).call().unwrap())
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        Reply::of(agent().post(self.url(path)).send_json(body).unwrap())
    }

    /// Asks, and gets the whole reply.
    pub fn ask(&self, body: &Value) -> Reply {
        self.post("/v1/chat/completions", body)
    }

    /// Uploads a file and returns its id.
    pub fn upload(&self, path: &Path) -> String {
        let reply = self.upload_bytes(&fs::read(path).unwrap(), path.file_name().unwrap().to_str().unwrap());
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn upload_bytes(&self, bytes: &[u8], name: &str) -> Reply {
        let boundary = "longvu-boundary-7d1f";
        let mut body = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n");
        body += &format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        let mut body = body.into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        Reply::of(agent().post(self.url("/v1/files")).header("Content-Type", kind).send(&body[..]).unwrap())
    }

    /// A connection, for requests that no client would send.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request's head, and a body as far as it is given, and keeps the connection.
    pub fn begin(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        write!(stream, "{head}\r\nHost: {}\r\n\r\n", self.address).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    /// Begins to ask for a stream, and returns the connection once the head of the reply is there.
    pub fn begin_stream(&self, body: &Value) -> BufReader<TcpStream> {
        let body = body.to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}",
            body.len()
        );
        BufReader::new(self.begin(&head, body.as_bytes()))
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Processes that the server has started and that still run.
    pub fn children(&self) -> Vec<u32> {
        let mut children: Vec<u32> = Vec::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        children
    }

    /// Files below the folder for temporary files, without the lock and a test's keys.
    pub fn temp_files(&self) -> Vec<PathBuf> {
        let own = |path: &PathBuf| !["lock", "keys"].iter().any(|name| path.ends_with(name));
        files_below(self.temp.path()).into_iter().filter(own).collect()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(300)))
        .build()
        .into()
}

/// What a server said.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Reply {
    fn of(mut response: ureq::http::Response<ureq::Body>) -> Self {
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let mut bytes = Vec::new();
        response.body_mut().as_reader().read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { status: response.status().as_u16(), retry_after: header, headers: response.headers().clone(), text }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a reply that went well.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The answer of a reply that went well.
    #[track_caller]
    pub fn answer(&self) -> String {
        self.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }

    /// Checks that a request was refused in the protocol's form, with a message that has all of `parts`; returns the field.
    #[track_caller]
    pub fn refused(&self, status: u16, parts: &[&str]) -> Option<String> {
        assert_eq!(self.status, status, "{}", self.text);
        let error = &self.json()["error"];
        let message = error["message"].as_str().unwrap();
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
        assert!(!message.contains("/tmp") && !message.contains("127.0.0.1"), "{message}");
        assert!(error["type"].is_string(), "{error}");
        error["param"].as_str().map(str::to_owned)
    }
}

/// A question about what `url` names.
pub fn about(url: &str, question: &str) -> Value {
    json!({"model": "miniature", "max_tokens": 8, "messages": [{"role": "user", "content": [
        {"type": "video_url", "video_url": {"url": url}}, {"type": "text", "text": question}
    ]}]})
}

/// The same with more fields.
pub fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

pub fn data_url(path: &Path) -> String {
    format!("data:video/mp4;base64,{}", BASE64_STANDARD.encode(fs::read(path).unwrap()))
}

/// The data of server-sent events, and the comments.
pub fn events(text: &str) -> (Vec<String>, Vec<String>) {
    let lines = |start: &str| {
        text.lines().filter_map(|line| line.strip_prefix(start)).map(|line| line.trim().to_owned()).collect()
    };
    (lines("data:"), lines(":"))
}

/// The text of a streamed answer.
pub fn streamed(text: &str) -> String {
    let pieces = events(text).0;
    let chunk = |data: &String| serde_json::from_str::<Value>(data).ok();
    let content = |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    pieces.iter().filter_map(chunk).filter_map(content).collect()
}

/// Waits until `done`, and fails after `limit`.
#[track_caller]
pub fn wait_until(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
