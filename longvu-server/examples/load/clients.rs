//! Clients, and what they are answered.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{Args, Result};

const BOUNDARY: &str = "of-a-load-test-and-in-no-video";

/// A server with the video that it is asked about.
#[derive(Debug, Clone)]
pub struct Server {
    client: Client,
    url: Url,
    file: String,
    questions: Arc<[String]>,
    fps: f64,
    fresh: usize,
    /// Requests that have looked at a part of their own.
    parts: Arc<AtomicU64>,
    /// What each question was answered first. At temperature 0 all that follow are the same.
    answers: Arc<Mutex<HashMap<usize, String>>>,
}

/// The server takes no request now.
#[derive(Debug)]
pub struct Refusal {
    pub after: Duration,
}

/// What became of requests.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How long each answer took.
    pub times: Vec<Duration>,
    pub refused: usize,
    pub failures: Vec<String>,
}

impl Outcome {
    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.refused += other.refused;
        self.failures.extend(other.failures);
    }
}

impl Server {
    /// Uploads the video, which is looked at once.
    pub async fn new(client: Client, args: &Args) -> Result<Self> {
        let video = fs::read(&args.video).map_err(|error| format!("{}: {error}", args.video.display()))?;
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n--{BOUNDARY}\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"video\"\r\ncontent-type: video/mp4\r\n\r\n"
        );
        let body = [head.as_bytes(), &video, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let request = client.post(args.url.join("/v1/files")?);
        let form = request.header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}")).body(body);
        let uploaded: Value = serde_json::from_str(&sent(form).await?.text().await?)?;
        let file = uploaded["id"].as_str().ok_or("the upload has no id")?.to_owned();
        let server = Self {
            client,
            url: args.url.clone(),
            file,
            questions: args.questions.clone().into(),
            fps: args.fps,
            fresh: args.fresh.max(1),
            parts: Arc::default(),
            answers: Arc::default(),
        };
        for number in 0..server.questions.len() {
            server.ask(number, None).await?.map_err(|refusal| format!("refused: {refusal:?}"))?;
        }
        Ok(server)
    }

    /// Asks until `end`; the request that is under way then is waited for.
    pub async fn ask_until(self, end: Instant, client: usize) -> Outcome {
        let mut outcome = Outcome::default();
        for number in client.. {
            if Instant::now() >= end {
                break;
            }
            // A part that nobody has asked about: no two begin at the same time.
            let fresh = number % self.fresh == self.fresh - 1;
            let part = fresh.then(|| self.parts.fetch_add(1, Ordering::Relaxed) as f64 * 1e-6);
            let start = Instant::now();
            match self.ask(number, part).await {
                Ok(Ok(())) => outcome.times.push(start.elapsed()),
                Ok(Err(refusal)) => {
                    outcome.refused += 1;
                    sleep(refusal.after.min(end.saturating_duration_since(Instant::now()))).await;
                }
                Err(error) => outcome.failures.push(error.to_string()),
            }
        }
        outcome
    }

    /// Asks a question about the video, from a second on or about all of it.
    pub async fn ask(&self, number: usize, start: Option<f64>) -> Result<std::result::Result<(), Refusal>> {
        let question = number % self.questions.len();
        let body = json!({
            "messages": [{ "role": "user", "content": [
                { "type": "video_url", "video_url": { "url": self.file } },
                { "type": "text", "text": self.questions[question] },
            ]}],
            "temperature": 0, "max_tokens": 32, "stream": true,
            "media_io_kwargs": { "video": { "fps": self.fps } }, "longvu": { "start": start },
        });
        let request = self.client.post(self.url.join("/v1/chat/completions")?);
        let response = request.header(CONTENT_TYPE, "application/json").body(body.to_string()).send().await?;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let after = response.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            let after = Duration::from_secs(after.ok_or("503 without Retry-After")?);
            return Ok(Err(Refusal { after }));
        }
        let answer = answer(&checked(response).await?.text().await?)?;
        if start.is_none() {
            let mut answers = self.answers.lock().map_err(|_| "a client broke down")?;
            let first = answers.entry(question).or_insert_with(|| answer.clone());
            if *first != answer {
                return Err(format!("{:?} became {answer:?} under load", *first).into());
            }
        }
        Ok(Ok(()))
    }

    /// A number of `/metrics`.
    pub async fn numbers(&self) -> Result<String> {
        Ok(sent(self.client.get(self.url.join("/metrics")?)).await?.text().await?)
    }
}

/// The answer of a stream that has come to its end.
fn answer(stream: &str) -> Result<String> {
    let mut answer = String::new();
    let mut data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    for event in data.by_ref().take_while(|event| *event != "[DONE]") {
        let event: Value = serde_json::from_str(event)?;
        if let Some(error) = event.get("error") {
            return Err(format!("in the middle: {error}").into());
        }
        answer.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    match stream.trim_end().ends_with("data: [DONE]") {
        true => Ok(answer),
        false => Err("a stream ended early".into()),
    }
}

async fn sent(request: RequestBuilder) -> Result<Response> {
    checked(request.send().await?).await
}

async fn checked(response: Response) -> Result<Response> {
    match response.status() {
        StatusCode::OK => Ok(response),
        status => Err(format!("{status}: {}", response.text().await?).into()),
    }
}
