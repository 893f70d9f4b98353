//! URLs against servers on loopback that do what no good server does.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;
use crate::media::{MediaSources, addresses, network::Lookup};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Names under `.test`; beside the internet, only `127.0.0.1` may be reached.
#[derive(Debug, Default)]
struct Names {
    lookups: AtomicUsize,
}

impl Network for Names {
    fn lookup<'a>(&'a self, host: &'a str) -> Lookup<'a> {
        let lookups = self.lookups.fetch_add(1, Ordering::Relaxed);
        let addresses = match host {
            "video.test" => vec![LOOPBACK],
            "private.test" => vec![PRIVATE],
            "metadata.test" => vec![[169, 254, 169, 254].into()],
            "local6.test" => vec![Ipv6Addr::LOCALHOST.into()],
            "mixed.test" => vec![LOOPBACK, PRIVATE],
            "empty.test" => vec![],
            // Another address each time.
            "rebinding.test" => vec![if lookups == 0 { LOOPBACK } else { PRIVATE }],
            _ => return Box::pin(async { Err(io::ErrorKind::NotFound.into()) }),
        };
        Box::pin(async { Ok(addresses) })
    }

    fn may_reach(&self, address: IpAddr) -> bool {
        address == LOOPBACK || addresses::is_public(address)
    }
}

/// A server that answers each connection, by its number, with these bytes after the request's head.
struct Server {
    port: u16,
    task: JoinHandle<()>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn new<F: Future<Output = ()> + Send>(answer: impl Fn(String, TcpStream) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                answer(String::from_utf8(head).unwrap(), stream).await;
            }
        });
        Self { port, task, connections }
    }

    async fn with(response: &str) -> Self {
        let response = response.to_owned();
        Self::new(move |_, mut stream| {
            let response = response.clone();
            async move {
                let _ = stream.write_all(response.as_bytes()).await;
            }
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Fixture {
    _parent: tempfile::TempDir,
    sources: Arc<MediaSources>,
    names: Arc<Names>,
}

/// Sources that may ask every `.test` host at a port, for 1 kB within a second, of which nothing may come for half of one.
fn fixture(port: u16) -> Fixture {
    let parent = tempfile::tempdir().unwrap();
    let names = Arc::new(Names::default());
    let hosts =
        [format!("*.test:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}"), "169.254.169.254".into()];
    let sources = MediaSources::new(MediaConfig {
        hosts: hosts.into(),
        max_upload: 1000,
        url_time: Duration::from_secs(1),
        idle_time: Duration::from_millis(500),
        network: names.clone(),
        ..MediaConfig::new(parent.path())
    })
    .unwrap();
    Fixture { _parent: parent, sources, names }
}

impl Fixture {
    /// The code and the message of a refusal, after which nothing may be left.
    async fn refusal(&self, url: &str) -> (u16, &'static str, String) {
        let error = self.sources.resolve(url).await.unwrap_err();
        let own = self.sources.folder.path().to_owned();
        assert_eq!(own.read_dir().unwrap().count(), 1, "more than the lock is left");
        assert_eq!(self.sources.account.used(), 0);
        for secret in ["127.0.0.1", "10.0.0", "169.254", own.to_str().unwrap()] {
            assert!(!error.message.contains(secret), "{}", error.message);
        }
        (error.status.as_u16(), error.code.unwrap(), error.message.into_owned())
    }

    async fn code(&self, url: &str) -> &'static str {
        self.refusal(url).await.1
    }
}

#[tokio::test]
async fn a_file_of_an_allowed_host() {
    let server = Server::new(|head, mut stream| async move {
        let lower = head.to_lowercase();
        assert!(head.starts_with("GET /clips/a%20b.mp4?x=1 HTTP/1.1\r\n"), "{head}");
        assert!(
            lower.contains("accept-encoding: identity\r\n")
                && !lower.contains("cookie")
                && !lower.contains("authorization")
        );
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nset-cookie: a=b\r\n\r\nhello").await.unwrap();
    })
    .await;
    let fixture = fixture(server.port);
    for _ in 0..2 {
        let url = format!("HTTP://Video.TEST:{}/clips/a%20b.mp4?x=1#t=3", server.port);
        let media = fixture.sources.resolve(&url).await.unwrap();
        assert_eq!((media.name(), media.bytes()), ("a%20b.mp4", 5));
        assert_eq!(std::fs::read(media.path()).unwrap(), b"hello");
        assert_eq!(media.sha256(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    }
}

#[tokio::test]
async fn hosts_that_are_not_allowed_and_urls_that_cannot_be_read() {
    let server = Server::with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let fixture = fixture(server.port);
    let port = server.port;
    for url in [
        "http://example.com/".to_owned(),
        "http://video.test/".into(),
        format!("http://video.test.example.com:{port}/"),
        format!("http://a@video.test:{port}/"),
        format!("http://a:b@video.test:{port}/"),
        format!("http://localhost:{port}/"),
    ] {
        assert_eq!(fixture.code(&url).await, "url_not_allowed", "{url}");
    }
    for url in ["http://", "http://[::1", "https:///", "http://video.test:port/", "http://vid\0eo.test/"] {
        assert_eq!(fixture.sources.resolve(url).await.unwrap_err().status, 400, "{url}");
    }
    assert_eq!((server.connections.load(Ordering::Relaxed), fixture.names.lookups.load(Ordering::Relaxed)), (0, 0));
}

#[tokio::test]
async fn addresses_inside_are_refused_however_they_are_named() {
    let server = Server::with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let fixture = fixture(server.port);
    for host in ["private.test", "metadata.test", "local6.test", "mixed.test", "[::1]"] {
        let (_, code, message) = fixture.refusal(&format!("http://{host}:{}/", server.port)).await;
        assert!(code == "url_not_allowed" && message.contains("public internet"), "{host}: {message}");
    }
    assert_eq!(fixture.code("http://169.254.169.254/latest/meta-data/").await, "url_not_allowed");
    for host in ["empty.test", "unknown.test"] {
        assert_eq!(fixture.code(&format!("http://{host}:{}/", server.port)).await, "url_failed", "{host}");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_real_network_does_not_reach_this_machine() {
    let server = Server::with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let parent = tempfile::tempdir().unwrap();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"].map(|host| format!("{host}:{}", server.port));
    let config = MediaConfig { hosts: hosts.to_vec(), ..MediaConfig::new(parent.path()) };
    let sources = MediaSources::new(config).unwrap();
    for host in hosts.iter().chain([&format!("2130706433:{}", server.port), &format!("0x7f.1:{}", server.port)]) {
        assert_eq!(
            sources.resolve(&format!("http://{host}/")).await.unwrap_err().code,
            Some("url_not_allowed"),
            "{host}"
        );
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_asked() {
    let server = Server::with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    let fixture = fixture(server.port);
    let url = format!("http://rebinding.test:{}/", server.port);
    assert!(fixture.sources.resolve(&url).await.is_ok());
    assert_eq!(fixture.names.lookups.load(Ordering::Relaxed), 1);
    // The connection is not kept, and the next is checked anew.
    assert_eq!(fixture.code(&url).await, "url_not_allowed");
}

#[tokio::test]
async fn redirects_are_checked_like_the_first_url() {
    for (location, code) in [
        ("http://private.test:PORT/", "url_not_allowed"),
        ("http://metadata.test:PORT/", "url_not_allowed"),
        ("http://169.254.169.254/", "url_not_allowed"),
        ("http://[::1]:PORT/", "url_not_allowed"),
        ("http://example.com/", "url_not_allowed"),
        ("//localhost:PORT/", "url_not_allowed"),
        ("http://user@video.test:PORT/", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("ftp://video.test:PORT/", "url_not_allowed"),
        ("data:,hello", "url_not_allowed"),
        ("http://[", "url_failed"),
        ("/again", "url_failed"),
    ] {
        let server = Server::new(move |head, mut stream| async move {
            let port =
                head.to_lowercase().split("host: video.test:").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
            let location = location.replace("PORT", &port);
            let response = format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(response.as_bytes()).await.unwrap();
        })
        .await;
        let fixture = fixture(server.port);
        assert_eq!(fixture.code(&format!("http://video.test:{}/", server.port)).await, code, "{location}");
        let expected = if location == "/again" { REDIRECTS + 1 } else { 1 };
        assert_eq!(server.connections.load(Ordering::Relaxed), expected, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_to_an_allowed_host_is_followed() {
    let server = Server::new(|head, mut stream| async move {
        let response = match head.starts_with("GET /moved/video.mp4") {
            true => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            false => "HTTP/1.1 301 Moved Permanently\r\nlocation: moved/video.mp4\r\ncontent-length: 0\r\n\r\n",
        };
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let media =
        fixture(server.port).sources.resolve(&format!("http://video.test:{}/first", server.port)).await.unwrap();
    assert_eq!((media.name(), media.bytes()), ("first", 5));
}

#[tokio::test]
async fn responses_that_are_no_file() {
    for (response, status, code) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello", 400, "url_failed"),
        ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", 400, "url_failed"),
        ("HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\n\r\nhello", 400, "url_failed"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 400, "url_failed"),
        ("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", 400, "url_failed"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello", 400, "url_failed"),
        // Announced too large, larger than announced chunks, and shorter than announced.
        ("HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\nhello", 413, "file_too_large"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\nhello", 413, "file_too_large"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello", 400, "url_failed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhello", 400, "url_failed"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", 400, "url_failed"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n", 400, "url_failed"),
        ("SSH-2.0-OpenSSH\r\n", 400, "url_failed"),
        ("", 400, "url_failed"),
    ] {
        let server = Server::with(response).await;
        let (was, told, message) = fixture(server.port).refusal(&format!("http://video.test:{}/", server.port)).await;
        assert_eq!((was, told), (status, code), "{response:?}: {message}");
    }
    let server = Server::with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let error = fixture(server.port).sources.resolve(&format!("http://video.test:{}/", server.port)).await.unwrap_err();
    assert_eq!((error.status.as_u16(), &*error.message), (400, "the file is empty"));
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_at_the_limit() {
    let server = Server::new(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[0; 100]).await.is_ok() {}
    })
    .await;
    assert_eq!(fixture(server.port).code(&format!("http://video.test:{}/", server.port)).await, "file_too_large");
}

#[tokio::test]
async fn slow_servers_are_given_up() {
    // Silent from the start, silent in the middle, and slow for ever.
    for (head, pause) in [
        ("", None),
        ("HTTP/1.1 200 OK\r\n\r\nhello", None),
        ("HTTP/1.1 200 OK\r\n\r\n", Some(Duration::from_millis(50))),
    ] {
        let server = Server::new(move |_, mut stream| async move {
            let _ = stream.write_all(head.as_bytes()).await;
            match pause {
                None => tokio::time::sleep(Duration::from_secs(60)).await,
                Some(pause) => {
                    while stream.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        })
        .await;
        let (_, code, message) = fixture(server.port).refusal(&format!("http://video.test:{}/", server.port)).await;
        assert!(code == "url_failed" && message.contains("in time"), "{message}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::with("").await;
    let port = server.port;
    drop(server);
    tokio::task::yield_now().await;
    assert_eq!(fixture(port).code(&format!("http://video.test:{port}/")).await, "url_failed");
}
