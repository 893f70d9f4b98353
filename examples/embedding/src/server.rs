//! An HTTP server that answers questions about video files, in pieces, and stops working for clients that hang up.
//!
//! longvu computes on the thread that calls it, for seconds to minutes, which no async runtime may be kept waiting for:
//! each request runs in `spawn_blocking`, and its pieces come through a channel. When the client hangs up, axum drops the
//! response and with it the receiver; the request's watcher sees that at the next frame, layer of a chunk of the prompt,
//! or token, and stops.

use std::{fmt, ops::ControlFlow, path::PathBuf};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use longvu::{ErrorKind, GenerationConfig, LongVu, Sampling, Video, VideoOptions, Watch, text};
use serde::Deserialize;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// A question about a video, or about none.
#[derive(Debug, Deserialize)]
pub struct Question {
    /// The video's file.
    pub video: Option<PathBuf>,
    /// Frames sampled a second; one unless told otherwise.
    pub fps: Option<f64>,
    /// What is asked.
    pub question: String,
    /// Whether lines that begin with `:` tell how far it is.
    #[serde(default)]
    pub progress: bool,
}

/// `POST /ask` with a [`Question`] as JSON; the answer is streamed as text.
pub fn router(model: LongVu) -> Router {
    Router::new().route("/ask", post(ask)).with_state(model)
}

async fn ask(State(model): State<LongVu>, Json(question): Json<Question>) -> Response {
    let (pieces, receiver) = channel(64);
    let failed = pieces.clone();
    tokio::spawn(async move {
        let work = tokio::task::spawn_blocking(move || answer(&model, &question, &pieces)).await;
        let failure = match work {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Failure::Refused(error),
            Err(_) => Failure::Panicked,
        };
        let _ = failed.send(Err(failure)).await;
    });
    let mut stream = ReceiverStream::new(receiver);
    // The status is decided by what comes first. An error that comes later breaks the body off, so that nobody takes half
    // an answer for a whole one.
    match stream.next().await {
        Some(Ok(first)) => Body::from_stream(tokio_stream::once(Ok(first)).chain(stream)).into_response(),
        Some(Err(failure)) => failure.into_response(),
        None => StatusCode::OK.into_response(),
    }
}

/// A piece of an answer, or why there are no more.
type Piece = Result<String, Failure>;

/// Why there is no answer, or no whole one.
#[derive(Debug)]
enum Failure {
    /// The library said so.
    Refused(longvu::Error),
    /// It broke down.
    Panicked,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => f.write_str(&text::chain(error)),
            Self::Panicked => f.write_str("the server broke down"),
        }
    }
}

impl std::error::Error for Failure {}

impl IntoResponse for Failure {
    /// What a client can do about it.
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused(error) => match error.kind() {
                ErrorKind::BadInput => StatusCode::UNPROCESSABLE_ENTITY,
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                ErrorKind::DoesNotFit => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        };
        (status, self.to_string()).into_response()
    }
}

/// Encodes and answers, for as long as somebody listens.
fn answer(model: &LongVu, question: &Question, pieces: &Sender<Piece>) -> longvu::Result<()> {
    let (client, tell) = (pieces.clone(), question.progress);
    let request = model.watched(Watch::new(move |progress| {
        if tell {
            // A slow reader loses some of these, and no piece of the answer.
            let total = progress.total.unwrap_or_default();
            let _ = client.try_send(Ok(format!(": {} {} of {total}\n", progress.step, progress.done)));
        }
        if client.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    let sampling = Sampling::Fps(question.fps.unwrap_or(1.0));
    let open = |path| Video::open_with(path, VideoOptions::default().with_sampling(sampling));
    let video = question.video.as_deref().map(|path| request.encode(open(path)?)).transpose()?;
    let visuals: Vec<_> = video.iter().collect();
    for piece in request.stream(&visuals, &question.question, &GenerationConfig::default())? {
        if pieces.blocking_send(Ok(piece?)).is_err() {
            break;
        }
    }
    Ok(())
}
