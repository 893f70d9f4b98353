//! The routes of files, as a client sees them.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use axum::{
    body::to_bytes,
    http::{Method, Request as HttpRequest},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

use super::*;
use crate::media::MediaConfig;

struct Fixture {
    _parent: tempfile::TempDir,
    sources: Arc<MediaSources>,
}

/// At most 1,000 bytes a file, and three files.
fn fixture() -> Fixture {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut MediaConfig)) -> Fixture {
    let parent = tempfile::tempdir().unwrap();
    let mut config = MediaConfig {
        max_upload: 1000,
        max_files: 3,
        idle_time: Duration::from_millis(300),
        ..MediaConfig::new(parent.path())
    };
    change(&mut config);
    Fixture { sources: MediaSources::new(config).unwrap(), _parent: parent }
}

/// A form of parts: the head of each, after `form-data`, and its content.
fn form(parts: &[(&str, &str)]) -> String {
    let part =
        |(head, content): &(&str, &str)| format!("--edge\r\nContent-Disposition: form-data{head}\r\n\r\n{content}\r\n");
    parts.iter().map(part).collect::<String>() + "--edge--\r\n"
}

fn post(body: impl Into<Body>) -> HttpRequest<Body> {
    let request = HttpRequest::post("/v1/files").header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge");
    request.body(body.into()).unwrap()
}

fn ask(method: Method, path: &str) -> HttpRequest<Body> {
    HttpRequest::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

impl Fixture {
    async fn send(&self, request: HttpRequest<Body>) -> Response {
        router(self.sources.clone()).oneshot(request).await.unwrap()
    }

    async fn json(&self, request: HttpRequest<Body>) -> (u16, Value) {
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn upload(&self, content: &str) -> String {
        let parts = [
            ("; name=\"purpose\"", "user_data"),
            ("; name=\"file\"; filename=\"a.mp4\"\r\nContent-Type: video/mp4", content),
        ];
        let (status, file) = self.json(post(form(&parts))).await;
        assert_eq!(status, 200, "{file}");
        file["id"].as_str().unwrap().to_owned()
    }

    /// What is in the server's folder beside its lock.
    fn files(&self) -> Vec<PathBuf> {
        let files = self.sources.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| !path.ends_with("lock")).collect()
    }

    fn assert_empty(&self) {
        assert_eq!((self.files(), self.sources.account.used()), (vec![], 0));
    }

    async fn listen(&self) -> TcpStream {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(self.sources.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        TcpStream::connect(address).await.unwrap()
    }
}

#[tokio::test]
async fn a_file_comes_is_used_and_goes() {
    let fixture = fixture();
    let parts = [
        ("; name=\"other\"", "x"),
        ("; name=\"file\"; filename=\"../b/ä.mp4\"", "hello"),
        ("; name=\"purpose\"", "vision"),
    ];
    let (status, file) = fixture.json(post(form(&parts))).await;
    let id = file["id"].as_str().unwrap().to_owned();
    let created = file["created_at"].as_u64().unwrap();
    let expected = json!({"id": id, "object": "file", "bytes": 5, "created_at": created, "filename": "ä.mp4", "purpose": "vision", "status": "processed"});
    assert_eq!((status, &file), (200, &expected));
    assert!(created > 1_700_000_000);

    assert_eq!(fixture.json(ask(Method::GET, &format!("/v1/files/{id}"))).await, (200, expected));
    let media = fixture.sources.resolve(&id).await.unwrap();
    assert_eq!((media.name(), media.bytes(), media.changed()), ("ä.mp4", 5, false));

    let deleted = fixture.json(ask(Method::DELETE, &format!("/v1/files/{id}"))).await;
    assert_eq!(deleted, (200, json!({"id": id, "object": "file", "deleted": true})));
    for method in [Method::GET, Method::DELETE] {
        let (status, body) = fixture.json(ask(method, &format!("/v1/files/{id}"))).await;
        assert_eq!((status, &body["error"]["code"]), (404, &json!("file_not_found")));
    }
    assert_eq!(fixture.sources.resolve(&id).await.unwrap_err().status, 404);
    assert_eq!(std::fs::read(media.path()).unwrap(), b"hello");
    drop(media);
    fixture.assert_empty();
}

#[tokio::test]
async fn forms_that_are_refused_leave_nothing() {
    let fixture = fixture();
    let long = "x".repeat(1001);
    let file = "; name=\"file\"; filename=\"a.mp4\"";
    for (body, status, param) in [
        (form(&[]), 400, json!("file")),
        (form(&[("; name=\"purpose\"", "user_data")]), 400, json!("file")),
        (form(&[(file, "")]), 400, json!("file")),
        (form(&[(file, "a"), (file, "b")]), 400, json!("file")),
        (form(&[(file, "a"), ("; name=\"purpose\"", &long)]), 400, json!("purpose")),
        (form(&[(file, &long)]), 413, json!("file")),
        (form(&[(file, "cut")]).replace("--edge--\r\n", ""), 400, json!("file")),
        ("no form".to_owned(), 400, Value::Null),
        (String::new(), 400, Value::Null),
        (form(&[("; name=\"other\"", &"x".repeat(70_000)), (file, "a")]), 413, json!("file")),
    ] {
        let start: String = body.chars().take(200).collect();
        // As a stream, whose length is not announced.
        for body in [Body::from(body.clone()), Body::from_stream(tokio_stream::iter([Ok::<_, std::io::Error>(body)]))] {
            let (was, answer) = fixture.json(post(body)).await;
            assert_eq!(was, status, "{start}: {answer}");
            let announced = was == 413 && answer["error"]["param"].is_null();
            assert!(answer["error"]["param"] == param || announced, "{start}: {answer}");
        }
        fixture.assert_empty();
    }
    let (status, answer) = fixture.json(HttpRequest::post("/v1/files").body(Body::from("{}")).unwrap()).await;
    assert_eq!((status, answer["error"]["type"].as_str()), (400, Some("invalid_request_error")));
}

#[tokio::test]
async fn a_field_without_a_file_name_is_a_file() {
    let fixture = fixture();
    let (status, file) = fixture.json(post(form(&[("; name=\"file\"", "hello")]))).await;
    assert_eq!((status, &file["filename"], &file["purpose"]), (200, &json!("upload"), &json!("user_data")));
}

#[tokio::test]
async fn lists_go_by_pages() {
    let fixture = fixture();
    let mut ids = Vec::new();
    for content in ["1", "22", "333"] {
        ids.push(fixture.upload(content).await);
    }
    let list = async |query: &str| {
        let (status, list) = fixture.json(ask(Method::GET, &format!("/v1/files?{query}"))).await;
        assert_eq!((status, list["object"].as_str()), (200, Some("list")));
        let found: Vec<_> =
            list["data"].as_array().unwrap().iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            (list["first_id"].as_str(), list["last_id"].as_str()),
            (found.first().map(|id| &**id), found.last().map(|id| &**id))
        );
        (found, list["has_more"].as_bool().unwrap())
    };
    let [a, b, c] = [0, 1, 2].map(|i| ids[i].clone());
    assert_eq!(list("").await, (vec![c.clone(), b.clone(), a.clone()], false));
    assert_eq!(list("order=asc&limit=2").await, (vec![a.clone(), b.clone()], true));
    assert_eq!(list(&format!("after={b}")).await, (vec![a.clone()], false));
    assert_eq!(list("purpose=other").await, (vec![], false));
    for query in ["after=file-x", "limit=-1", "order=up"] {
        let (status, body) = fixture.json(ask(Method::GET, &format!("/v1/files?{query}"))).await;
        assert!(status == 400 && body["error"]["message"].is_string(), "{query}: {body}");
    }
    // The fourth takes the place of the first.
    let d = fixture.upload("4444").await;
    assert_eq!(list("").await, (vec![d, c, b], false));
}

#[tokio::test]
async fn ids_that_are_none_are_not_there() {
    let fixture = fixture();
    fixture.upload("hello").await;
    let name = fixture.files()[0].file_name().unwrap().to_str().unwrap().to_owned();
    for id in [
        "file-x",
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2Fetc%2Fpasswd",
        "file-..%2flock",
        "lock",
        "%00",
        "file-%00",
        "%ff",
        &name,
        "file-aaaaaaaaaaaaaaaaaaaaaaaa",
        "*",
    ] {
        for (method, path) in [(Method::GET, ""), (Method::GET, "/content"), (Method::DELETE, "")] {
            let (status, body) = fixture.json(ask(method, &format!("/v1/files/{id}{path}"))).await;
            assert_eq!((status, &body["error"]["code"]), (404, &json!("file_not_found")), "{id}{path}");
        }
    }
    assert_eq!(fixture.files().len(), 1);
}

#[tokio::test]
async fn content_is_served_whole_and_in_ranges() {
    let fixture = fixture();
    let id = fixture.upload("0123456789").await;
    let path = format!("/v1/files/{id}/content");
    for (range, status, body) in
        [(None, 200, "0123456789"), (Some("bytes=2-4"), 206, "234"), (Some("bytes=-3"), 206, "789")]
    {
        let mut request = ask(Method::GET, &path);
        request.headers_mut().extend(range.map(|range| (header::RANGE, HeaderValue::from_static(range))));
        let response = fixture.send(request).await;
        assert_eq!(response.status().as_u16(), status, "{range:?}");
        let headers = response.headers().clone();
        for (name, value) in
            [("content-type", "video/mp4"), ("x-content-type-options", "nosniff"), ("accept-ranges", "bytes")]
        {
            assert_eq!(headers[name], value);
        }
        assert_eq!(headers["content-length"], body.len().to_string());
        assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), body);
    }
    let mut request = ask(Method::GET, &path);
    request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=20-"));
    let (status, body) = fixture.json(request).await;
    assert_eq!((status, &body["error"]["param"]), (416, &json!("Range")));
}

#[tokio::test]
async fn a_file_is_in_use_while_it_is_sent() {
    let fixture = fixture();
    let id = fixture.upload("0123456789").await;
    let response = fixture.send(ask(Method::GET, &format!("/v1/files/{id}/content"))).await;
    fixture.sources.uploads.remove(&id).unwrap();
    assert_eq!(fixture.sources.account.used(), 10);
    assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), "0123456789");
    fixture.assert_empty();
}

#[test]
fn only_what_is_shown_or_played_has_its_media_type() {
    for (declared, kept) in [
        ("video/mp4", Some("video/mp4")),
        ("Video/X-Matroska; codecs=\"a\"", Some("video/x-matroska")),
        ("image/png", Some("image/png")),
        ("image/svg+xml", None),
        ("text/html", None),
        ("video/", None),
        ("video/a\r\nb", None),
        ("video", None),
        ("", None),
        ("application/octet-stream", None),
        ("video/mp4,text/html", None),
    ] {
        assert_eq!(media_type(declared).as_deref(), kept, "{declared:?}");
    }
}

#[test]
fn names_are_clean() {
    for (name, clean) in [
        ("a.mp4", "a.mp4"),
        ("/etc/passwd", "passwd"),
        ("C:\\a\\b.mp4", "b.mp4"),
        ("a\u{1b}[31m\n", "a[31m"),
        ("../", "upload"),
        ("", "upload"),
    ] {
        assert_eq!(clean_name(name), clean);
    }
    assert_eq!(clean_name(&"ä".repeat(1000)).chars().count(), NAME);
}

#[tokio::test]
async fn a_body_of_a_tebibyte_is_refused_before_it_comes() {
    let fixture = fixture();
    let mut stream = fixture.listen().await;
    let head = "POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=edge\r\ncontent-length: 1099511627776\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    fixture.assert_empty();
}

#[tokio::test]
async fn who_hangs_up_or_falls_silent_leaves_nothing() {
    for silent in [false, true] {
        // Long enough that what is received is on disk before the end.
        let fixture = with(|config| config.max_upload = 64 << 20);
        let mut stream = fixture.listen().await;
        let head = "POST /v1/files HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=edge\r\ncontent-length: 60000000\r\n\r\n\
                    --edge\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 4 << 20]).await.unwrap();
        eventually(|| fixture.sources.account.used() >= 1 << 20).await;
        assert_eq!(fixture.files().len(), 1);
        if silent {
            let mut answer = vec![0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, b"HTTP/1.1 408");
        } else {
            drop(stream);
        }
        eventually(|| fixture.files().is_empty() && fixture.sources.account.used() == 0).await;
        assert!(fixture.sources.uploads.list().is_empty());
    }
}

#[test]
fn the_routes_are_described() {
    #[derive(utoipa::OpenApi)]
    #[openapi(paths(upload, list, describe, delete, content))]
    struct Description;

    let description = serde_json::to_value(<Description as utoipa::OpenApi>::openapi()).unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/v1/files", "/v1/files/{id}", "/v1/files/{id}/content"]);
    let form = &paths["/v1/files"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"];
    assert_eq!(form, "#/components/schemas/UploadForm");
    let file = &description["components"]["schemas"]["UploadForm"]["properties"]["file"];
    assert_eq!((&file["type"], &file["format"]), (&json!("string"), &json!("binary")));
    let parameters = paths["/v1/files"]["get"]["parameters"].as_array().unwrap();
    let names: Vec<_> =
        parameters.iter().map(|parameter| (parameter["name"].as_str(), parameter["in"].as_str())).collect();
    assert_eq!(names, ["after", "limit", "order", "purpose"].map(|name| (Some(name), Some("query"))));
}

async fn eventually(condition: impl Fn() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s");
}
