//! Reading a request's body: within its limit, in time, in memory that is spoken for.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, timeout_at};

use crate::{admission::Reserved, api_error::ApiError, protocol::request::Request, state::Shared};

/// Time for any body, and for each [`PACE`] bytes of it.
const TIME: Duration = Duration::from_secs(30);

/// Bytes that even a slow connection brings in [`TIME`].
const PACE: u64 = 8 << 20;

/// A request, and the memory of its body, which its `data:` URLs take until they are files.
pub(super) struct Received {
    pub request: Request,
    pub memory: Reserved,
}

/// Reads and checks a request.
///
/// # Errors
/// 400 for what is no JSON or no such request, 408 for a body that does not come, 413 for one that is too large, 503 when
/// others take the memory for bodies.
pub(super) async fn receive(server: &Arc<Shared>, headers: &HeaderMap, body: Body) -> Result<Received, ApiError> {
    if !is_json(headers) {
        return Err(ApiError::bad_request("the body must be JSON: send `Content-Type: application/json`"));
    }
    let limit = server.config.max_body;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(too_large(limit));
    }
    let length = announced.unwrap_or(limit);
    let memory = server.admission.body(length)?;
    let bytes = read(body, limit, announced, Instant::now() + TIME * (1 + length / PACE) as u32).await?;
    let preset = server.config.preset;
    // Tens of megabytes take their time.
    let request = tokio::task::spawn_blocking(move || Request::read(&bytes, preset)).await;
    let request = request.map_err(|_| ApiError::broke_down())??;
    Ok(Received { request, memory })
}

async fn read(body: Body, limit: u64, announced: Option<u64>, until: Instant) -> Result<Vec<u8>, ApiError> {
    let mut body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0) as usize);
    loop {
        let late = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        match timeout_at(until, body.frame()).await.map_err(late)? {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large(limit)),
            Some(Err(_)) => return Err(ApiError::bad_request("the body ended early")),
            None => return Ok(bytes),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn too_large(limit: u64) -> ApiError {
    let limit = longvu::plan::bytes(limit);
    ApiError::too_large(format!("the body is larger than {limit}; send large videos to /v1/files and name their id"))
}
