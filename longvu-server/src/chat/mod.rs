//! `POST /v1/chat/completions`: from a request to an answer.

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
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{
    sync::mpsc::{Receiver, channel},
    time::timeout,
};

use self::event::Event;
use crate::{
    error::{ApiError, ErrorBody},
    protocol::{
        request::{ChatCompletionRequest, Request},
        response::{ChatCompletion, Head},
    },
    state::Shared,
};

/// How long a stream's status waits for what may still go wrong: a video that cannot be opened is refused by its status
/// then, and not in the stream.
const STATUS: Duration = Duration::from_secs(5);

/// Longest time between two pieces of a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

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
    let request = read(&server, &headers, body).await?;
    server.check_model(request.model.as_deref())?;
    let (events, mut told) = channel(EVENTS);
    let (head, stream) = (Head::new(&server.config.model_name), request.stream);
    let include_usage = request.include_usage;
    tokio::spawn(work::run(server, request, events));
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

/// Reads the body within its limit, in memory that is spoken for.
async fn read(server: &Shared, headers: &HeaderMap, body: Body) -> Result<Request, ApiError> {
    let json = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !json.is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }) {
        return Err(ApiError::bad_request("the body must be JSON: send `Content-Type: application/json`"));
    }
    let limit = server.config.max_body;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let too_large = || {
        let limit = longvu::plan::bytes(limit);
        let message = format!("the body is larger than {limit}; send large videos to /v1/files and name their id");
        ApiError::too_large(message)
    };
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(too_large());
    }
    let _memory = server.admission.body(announced.unwrap_or(limit))?;
    let mut body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        let frame = timeout(BODY_PAUSE, body.frame()).await;
        match frame.map_err(|_| ApiError::new(axum::http::StatusCode::REQUEST_TIMEOUT, "the body did not arrive"))? {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Some(Err(_)) => return Err(ApiError::bad_request("the body ended early")),
            None => break,
        }
    }
    Request::read(&bytes, server.preset())
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
