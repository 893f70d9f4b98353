//! The routes, and what stands around them.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, csrf::CsrfLayer, set_header::SetResponseHeaderLayer,
};
use utoipa::OpenApi;

use crate::{
    api_error::{ApiError, ErrorBody},
    auth, chat,
    media::files,
    metrics::RequestLabels,
    page, routes,
    state::Shared,
};

/// The description of the routes that programs read.
#[derive(OpenApi)]
#[openapi(
    info(title = "longvu", description = "Questions about long videos, in the OpenAI protocol"),
    paths(
        chat::chat_completions,
        files::upload,
        files::list,
        files::describe,
        files::delete,
        files::content,
        routes::models,
        routes::model,
        routes::health,
        routes::picture,
        routes::settings,
    ),
    components(schemas(ErrorBody))
)]
struct Api;

/// All routes.
pub(crate) fn routes(server: &Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/v1/chat/completions", post(chat::chat_completions).layer(DefaultBodyLimit::disable()))
        .route("/v1/models", get(routes::models))
        .route("/v1/models/{*id}", get(routes::model))
        .route("/v1/longvu/settings", get(routes::settings))
        .route("/openapi.json", get(|| async { Json(Api::openapi()) }))
        .route("/health", get(routes::health));
    if server.config.metrics {
        router = router.route("/metrics", get(routes::metrics));
    }
    let pictures = Router::new().route("/v1/longvu/pictures/{key}/{picture}", get(routes::picture));
    let texts = router.layer(CompressionLayer::new());
    let mut router =
        texts.merge(pictures).with_state(Arc::clone(server)).merge(files::router(Arc::clone(&server.media)));
    if server.config.page {
        router = router.merge(page::router());
    }
    router.method_not_allowed_fallback(wrong_method)
}

/// The routes behind what every request passes, whether its route is there or not: keys, where there are any, and the log.
pub(crate) fn guarded(router: Router, server: &Arc<Shared>) -> Router {
    let refused = |_| {
        let message = "requests that change something are not taken from pages of other hosts";
        ApiError::new(StatusCode::FORBIDDEN, message).into_response()
    };
    let mut router = router.layer(CsrfLayer::new().with_rejection_response(refused));
    if !server.config.api_keys.is_empty() {
        let keys = server.config.api_keys.clone().into();
        router = router.layer(middleware::from_fn_with_state(keys, auth::check_key));
    }
    let nosniff =
        SetResponseHeaderLayer::if_not_present(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    router
        .layer(nosniff)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(server), note))
}

/// Says what there is none of.
pub(crate) async fn not_found() -> ApiError {
    ApiError::not_found("there is no such route; /openapi.json lists them")
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this route does not take this method; /openapi.json lists them")
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::broke_down().into_response()
}

/// Counts requests, and tells the log of them: the route, not what was asked.
async fn note(State(server): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Names of routes that there are not are a client's text.
    let route = request.extensions().get::<MatchedPath>().map_or("other", |path| known(path.as_str()));
    let start = Instant::now();
    // Names of methods that there are not are a client's text, too.
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let _counted = Counted::new(&server.requests);
    let response = match server.closing.is_cancelled() && route != "/health" {
        true => server.stopped().into_response(),
        false => next.run(request).await,
    };
    let status = response.status().as_u16();
    server.metrics.requests.get_or_create(&RequestLabels { route, status }).inc();
    let milliseconds = start.elapsed().as_millis() as u64;
    tracing::info!(method, route, status, milliseconds, "request");
    response
}

/// A request whose answer has not begun.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The route as a text that lives as long as the program; there are few.
fn known(path: &str) -> &'static str {
    const ROUTES: &[&str] = &[
        "/health",
        "/metrics",
        "/openapi.json",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/files/{id}",
        "/v1/files/{id}/content",
        "/v1/models",
        "/v1/models/{*id}",
        "/v1/longvu/example.mp4",
        "/v1/longvu/pictures/{key}/{picture}",
        "/v1/longvu/settings",
    ];
    ROUTES.iter().find(|route| path.ends_with(**route)).copied().unwrap_or("/")
}
