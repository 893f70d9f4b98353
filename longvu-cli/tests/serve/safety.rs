//! Who may ask, and what requests cannot reach.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{Server, about, video};

/// A server with keys, and the folder of their file.
fn with_keys() -> Server {
    let temp = tempfile::tempdir().unwrap();
    let keys = temp.path().join("keys");
    std::fs::write(&keys, "# of the test\nfirst-key\n\nsecond-key\n").unwrap();
    let keys = keys.to_str().unwrap().to_owned();
    Server::start_in(temp, &["--metrics", "--api-key-file", &keys])
}

#[test]
fn every_route_but_health_asks_for_a_key() {
    let server = with_keys();
    let routes = [
        "/",
        "/metrics",
        "/v1/models",
        "/v1/files",
        "/openapi.json",
        "/v1/longvu/settings",
        "/v2/nothing",
        "/v1/longvu/example.mp4",
        "/v1/longvu/pictures/x/0.jpg",
    ];
    for route in routes {
        server.get(route).refused(401, &["key"]);
        server.get_with_key(route, "Bearer first-ke").refused(401, &["wrong"]);
        assert_ne!(server.get_with_key(route, "Bearer second-key").status, 401, "{route}");
    }
    server.ask(&json!({"messages": [{"role": "user", "content": "Hi"}]})).refused(401, &["key"]);
    server.upload_bytes(b"x", "x.mp4").refused(401, &["key"]);
    assert_eq!(server.get("/health").status, 200);
    // anyone:first-key
    assert_eq!(server.get_with_key("/v1/models", "Basic YW55b25lOmZpcnN0LWtleQ==").status, 200);
    let bare = server.get("/v1/models");
    assert!(bare.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    assert!(!server.log().contains("first-k") && !server.log().contains("second-k"), "{}", server.log());
}

#[test]
fn others_are_let_in_with_a_key_only() {
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longvu"));
        command.env("LONGVU_NO_MEMORY_CHECK", "1").args(["serve", "--port", "0"]).args(args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["--host", "0.0.0.0"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--api-key-file"), "{text}");
    let temp = tempfile::tempdir().unwrap();
    for (content, part) in [("# none\n", "has no key"), ("two words\n", "line 1")] {
        let path = temp.path().join("keys");
        std::fs::write(&path, content).unwrap();
        let (code, text) = run(&["--host", "0.0.0.0", "--api-key-file", path.to_str().unwrap()]);
        assert!(code != Some(0) && text.contains(part), "{text}");
    }
    let (code, text) = run(&["--api-key-file", temp.path().join("missing").to_str().unwrap()]);
    assert!(code == Some(1) && text.contains("missing"), "{text}");
}

#[test]
fn pages_of_other_hosts_get_nothing() {
    let server = Server::start(&[]);
    let status = |head: &str| {
        let mut stream = server.connect();
        write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(!text.to_ascii_lowercase().contains("access-control-allow"), "{text}");
        text.split_whitespace().nth(1).unwrap().parse::<u16>().unwrap()
    };
    let own = &server.address;
    assert_eq!(status(&format!("GET /v1/models HTTP/1.1\r\nHost: {own}\r\nOrigin: http://evil.example")), 200);
    // A name of another's that resolves to this machine.
    assert_eq!(status("GET /v1/models HTTP/1.1\r\nHost: evil.example"), 421);
    assert_eq!(status("GET /v1/models HTTP/1.0"), 421);
    // What a form on another page can send without asking.
    for site in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Origin: null"] {
        let head = format!("POST /v1/files HTTP/1.1\r\nHost: {own}\r\nContent-Length: 0\r\n{site}");
        assert_eq!(status(&head), 403, "{site}");
        let head = format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: {own}\r\n{site}\r\nAccess-Control-Request-Method: POST"
        );
        assert_eq!(status(&head), 405, "{site}");
    }
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {own}\r\nContent-Type: text/plain\r\nContent-Length: 0");
    assert_eq!(status(&head), 400);
}

#[test]
fn addresses_of_the_machine_and_its_network_are_not_fetched() {
    let hosts = ["127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"];
    let listed: Vec<&str> = std::iter::once("--allow-url").chain(hosts).collect();
    let server = Server::start(&listed);
    let port = server.address.rsplit_once(':').unwrap().1;
    for host in hosts {
        for url in
            [format!("http://{host}/video.mp4"), format!("http://{host}:{port}/v1/models"), format!("https://{host}/")]
        {
            let reply = server.ask(&about(&url, "What?"));
            assert!([400, 422].contains(&reply.status), "{url}: {}", reply.text);
            let param = reply.json()["error"]["param"].clone();
            assert_eq!(param, "messages[0].content[0].video_url.url", "{url}");
        }
    }
    for url in [
        "http://user@example.com/",
        "http://example.com/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://x",
        "http://",
        "//x",
    ] {
        assert_eq!(server.ask(&about(url, "What?")).status, 400, "{url}");
    }
    Server::start(&[]).ask(&about("https://example.com/video.mp4", "What?")).refused(400, &["off on this server"]);
}

#[test]
fn files_outside_the_allowed_folders_are_not_read() {
    let temp = tempfile::tempdir().unwrap();
    let (inside, outside) = (temp.path().join("in"), temp.path().join("out"));
    for folder in [&inside, &outside] {
        std::fs::create_dir(folder).unwrap();
        std::fs::copy(video("video3.mp4"), folder.join("clip.mp4")).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(outside.join("clip.mp4"), inside.join("link.mp4")).unwrap();
    let server = Server::start(&["--allow-folder", inside.to_str().unwrap()]);
    server.ask(&about(inside.join("clip.mp4").to_str().unwrap(), "What?")).ok();
    let mut messages = Vec::new();
    for path in [
        outside.join("clip.mp4"),
        inside.join("../out/clip.mp4"),
        inside.join("link.mp4"),
        inside.join("missing.mp4"),
        outside.join("missing.mp4"),
        inside.clone(),
        "/dev/zero".into(),
        "/etc/passwd".into(),
    ] {
        let reply = server.ask(&about(path.to_str().unwrap(), "What?"));
        assert!([400, 404].contains(&reply.status), "{path:?}: {}", reply.text);
        messages.push(reply.json()["error"]["message"].to_string());
    }
    // Nothing tells what is there from what is not.
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    let closed = Server::start(&[]);
    closed.ask(&about(inside.join("clip.mp4").to_str().unwrap(), "What?")).refused(400, &[]);
}
