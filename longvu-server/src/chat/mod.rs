//! `POST /v1/chat/completions`: from a request to an answer.

mod body;
pub(crate) mod event;
pub(crate) mod looking;
mod report;
pub(crate) mod stream;
mod work;

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::timeout,
};

use self::{
    body::{Received, receive},
    event::Event,
};
use crate::{
    api_error::{ApiError, ErrorBody},
    protocol::{
        request::ChatCompletionRequest,
        response::{ChatCompletion, Head},
    },
    state::Shared,
};

/// How long a stream's status waits for what may still go wrong: a video that cannot be opened is refused by its status
/// then, and not in the stream.
const STATUS: Duration = Duration::from_secs(5);

/// Events that wait for a client that reads slowly.
const EVENTS: usize = 256;

/// Answers a conversation about videos and images.
#[utoipa::path(
    post, path = "/v1/chat/completions", request_body = ChatCompletionRequest,
    responses(
        (status = 200, description = "The answer; with `stream` as server-sent events", body = ChatCompletion),
        (status = "default", description = "What is wrong, and where", body = ErrorBody),
    )
)]
pub(crate) async fn chat_completions(
    State(server): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Received { request, memory } = receive(&server, &headers, body).await?;
    server.check_model(request.model.as_deref())?;
    let (events, mut told) = channel(EVENTS);
    let (head, stream) = (Head::new(&server.config.model_name), request.stream);
    let include_usage = request.include_usage;
    tokio::spawn(work::run(server, request, memory, events));
    if stream {
        let first = first(&mut told).await?;
        return Ok(stream::response(head, include_usage, first, told));
    }
    while let Some(event) = told.recv().await {
        match event {
            Event::Ended(ended) => return Ok(Json(head.whole(&ended.answer, ended.report)).into_response()),
            Event::Failed(error) => return Err(error),
            Event::Progress(_) | Event::Piece(_) => {}
        }
    }
    Err(ApiError::broke_down())
}

/// What is told first, unless that is an error; nothing if it takes long.
async fn first(told: &mut Receiver<Event>) -> Result<Option<Event>, ApiError> {
    loop {
        match timeout(STATUS, told.recv()).await {
            // Videos are opened after this; what follows tells whether they could be.
            Ok(Some(Event::Progress(progress))) if matches!(progress.step, "queue" | "fetch" | "open") => {}
            Ok(Some(Event::Failed(error))) => return Err(error),
            Ok(Some(event)) => return Ok(Some(event)),
            Ok(None) => return Err(ApiError::broke_down()),
            Err(_) => return Ok(None),
        }
    }
}
