//! Errors in the protocol's form.

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use longvu::{ErrorKind, text};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request is refused: a status, and what the body says.
///
/// A message tells the client what to change. It holds nothing of the machine: no path, no address, no other request.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub status: StatusCode,
    pub message: Cow<'static, str>,
    /// The field at fault, as in `messages[0].content[1].video_url.url`.
    pub param: Option<String>,
    /// A word that programs may go by.
    pub code: Option<&'static str>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
}

/// The body of a refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    pub error: ErrorObject,
}

/// What was wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorObject {
    /// What is wrong and what to do.
    pub message: String,
    /// The class of the error, as `invalid_request_error`.
    pub r#type: &'static str,
    /// The field at fault.
    pub param: Option<String>,
    /// A word for programs.
    pub code: Option<&'static str>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after: None }
    }

    /// 400: the request cannot be read, or names what cannot be looked at.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: no key, or a wrong one.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key")
    }

    /// 404: something named is not there.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 413: over a limit.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 422: it can be read, and makes no sense.
    pub fn unprocessable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 503: not now.
    pub fn busy(message: impl Into<Cow<'static, str>>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
            .code("overloaded")
    }

    /// 500, without a word on what went wrong inside: that is in the log.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %text::chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why")
    }

    /// What nobody receives: the client went away.
    pub fn given_up() -> Self {
        Self::new(CLIENT_CLOSED_REQUEST, "the request was given up")
    }

    /// 500 for work that ended without a word.
    pub fn broke_down() -> Self {
        Self::internal(&BrokeDown)
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What a client can do about an error of the library's.
    ///
    /// For errors that name no file; those of files are told where the files are known.
    pub fn of(error: &longvu::Error) -> Self {
        if matches!(error, longvu::Error::PromptTooLong { .. } | longvu::Error::VisualsTooLarge { .. }) {
            return Self::too_large(text::chain(error)).param("messages").code("context_length_exceeded");
        }
        match error.kind() {
            ErrorKind::BadInput => Self::unprocessable(text::chain(error)),
            ErrorKind::DoesNotFit => Self::too_large(text::chain(error)),
            ErrorKind::Cancelled => Self::given_up(),
            _ => Self::internal(error),
        }
    }

    pub fn object(&self) -> ErrorObject {
        let r#type = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        ErrorObject { message: self.message.clone().into_owned(), r#type, param: self.param.clone(), code: self.code }
    }
}

/// The work on a request ended without a word, by a panic for one.
#[derive(Debug, thiserror::Error)]
#[error("the work on a request broke down")]
struct BrokeDown;

/// What proxies log for a client that went away; nobody receives it.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.object() })).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
