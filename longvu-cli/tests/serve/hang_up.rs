//! Clients that go away: their work stops within a second, and nothing of it is left.

use std::{io::BufRead, path::PathBuf, sync::OnceLock, time::Duration};

use longvu_world::{Script, ScriptOptions, Split};
use serde_json::json;

use crate::support::{Server, about, video, wait_until, with};

const SECOND: Duration = Duration::from_secs(1);

/// A drawn video of a minute, for work that takes a while.
pub fn long_video() -> PathBuf {
    static VIDEO: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = VIDEO.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let options = ScriptOptions::default().with_duration(60.0);
        Script::draw(Split::Test.seed(1), &options).unwrap().write_mp4(folder.path().join("long.mp4")).unwrap();
        folder
    });
    folder.path().join("long.mp4")
}

#[test]
fn in_an_upload() {
    let server = Server::start(&[]);
    let head = "POST /v1/files HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 10000000";
    let part = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n";
    let body = [&part[..], &[7; 1_000_000]].concat();
    let stream = server.begin(head, &body);
    wait_until(5 * SECOND, "a file", || !server.temp_files().is_empty());
    drop(stream);
    wait_until(SECOND, "no file", || server.temp_files().is_empty());
    assert_eq!(server.get("/v1/files").ok()["data"], json!([]));
}

#[test]
fn in_an_encoding() {
    let server = Server::start(&["--metrics"]);
    let id = server.upload(&long_video());
    let every = json!({"stream": true, "media_io_kwargs": {"video": {"num_frames": -1}}});
    let mut stream = server.begin_stream(&with(about(&id, "What?"), every));
    let mut line = String::new();
    while !line.starts_with(": longvu {\"step\":\"look\"") {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0);
    }
    assert!(line.contains("\"total\":"), "{line}");
    assert_eq!(server.metric("longvu_running"), 1.0);
    drop(stream);
    wait_until(SECOND, "no work", || server.metric("longvu_running") == 0.0 && server.children().is_empty());
    assert_eq!(server.metric("longvu_memory_reserved_bytes"), 0.0);
}

#[test]
fn in_an_encoding_of_which_no_word_is_sent() {
    let server = Server::start(&["--metrics"]);
    let id = server.upload(&long_video());
    let every = json!({"media_io_kwargs": {"video": {"num_frames": -1}}});
    let stream = server.begin_stream(&with(about(&id, "What?"), every));
    wait_until(60 * SECOND, "a decoder", || !server.children().is_empty());
    drop(stream);
    wait_until(SECOND, "no work", || server.metric("longvu_running") == 0.0 && server.children().is_empty());
}

#[test]
fn in_an_answer() {
    let server = Server::start(&["--metrics"]);
    let id = server.upload(&video("video3.mp4"));
    // Nothing ends it but its length.
    let long = json!({"stream": true, "max_tokens": 4000, "temperature": 5.0, "seed": 1});
    let mut stream = server.begin_stream(&with(about(&id, "What?"), long));
    let (mut line, mut pieces) = (String::new(), 0);
    while pieces < 3 {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0);
        pieces += usize::from(line.starts_with("data:"));
    }
    drop(stream);
    wait_until(SECOND, "no work", || server.metric("longvu_running") == 0.0 && server.metric("longvu_decoding") == 0.0);
}

#[test]
fn one_of_two_who_wait_for_the_same_video() {
    let server = Server::start(&[]);
    let id = server.upload(&long_video());
    let every = json!({"stream": true, "media_io_kwargs": {"video": {"fps": 8.0}}});
    let request = with(about(&id, "What?"), every);
    // Each has heard of the encoding before the first goes.
    let [first, mut second] = [(), ()].map(|()| {
        let (mut stream, mut line) = (server.begin_stream(&request), String::new());
        while !line.starts_with(": longvu {\"step\":\"look\"") {
            line.clear();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0);
        }
        stream
    });
    drop(first);
    let mut line = String::new();
    while !line.contains("\"origin\"") {
        line.clear();
        assert_ne!(second.read_line(&mut line).unwrap(), 0);
    }
    assert!(line.contains("\"origin\":\"shared\""), "{line}");
}
