//! Requests as text, so that a test needs no client.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A part of an application that asks for a key.
pub struct Client {
    pub address: String,
    /// What the paths of requests begin with.
    pub below: &'static str,
    pub key: Option<&'static str>,
}

impl Client {
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.send("GET", path, "", &[]).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.send("POST", path, "application/json", body.to_string().as_bytes()).await;
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
    }

    /// Uploads a video; its id.
    pub async fn upload(&self, video: &[u8]) -> String {
        let head = "--between\r\ncontent-disposition: form-data; name=\"file\"; filename=\"clip.mp4\"\r\n\r\n";
        let body = [head.as_bytes(), video, b"\r\n--between--\r\n"].concat();
        let (status, text) = self.send("POST", "/v1/files", "multipart/form-data; boundary=between", &body).await;
        assert_eq!(status, 200, "{text}");
        let file: Value = serde_json::from_str(&text).unwrap();
        file["id"].as_str().unwrap().to_owned()
    }

    /// Asks about an uploaded video.
    pub async fn ask(&self, file: &str) -> (u16, Value) {
        let content =
            json!([{ "type": "video_url", "video_url": { "url": file } }, { "type": "text", "text": "What is it?" }]);
        let body = json!({ "messages": [{ "role": "user", "content": content }], "max_tokens": 4 });
        self.post("/v1/chat/completions", &body).await
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let Self { address, below, key } = self;
        let key = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {below}{path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\n{key}connection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        let mut response = Vec::new();
        connection.read_to_end(&mut response).await.unwrap();
        let response = String::from_utf8(response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}
