//! The small routes: models, health, pictures, settings, numbers.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use longvu::Preset;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api_error::{ApiError, ErrorBody},
    page,
    state::Shared,
};

/// A list in the protocol's form.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    pub object: &'static str,
    pub data: [Model; 1],
}

/// The model that answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub owned_by: &'static str,
    /// Positions of the window, prompt and answer together.
    pub max_model_len: usize,
    pub architecture: Architecture,
}

/// What a model takes and gives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Architecture {
    pub input_modalities: [&'static str; 3],
    pub output_modalities: [&'static str; 1],
    /// As `config.json` has it.
    pub model_type: String,
}

fn model_of(server: &Shared) -> Model {
    Model {
        id: server.config.model_name.clone(),
        object: "model",
        created: server.created,
        owned_by: "longvu",
        max_model_len: server.model.budget().max_len,
        architecture: Architecture {
            input_modalities: ["text", "image", "video"],
            output_modalities: ["text"],
            model_type: server.model.config().model_type.clone(),
        },
    }
}

/// The models: one.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
pub(crate) async fn models(State(server): State<Arc<Shared>>) -> Json<ModelList> {
    Json(ModelList { object: "list", data: [model_of(&server)] })
}

/// A model by its name.
#[utoipa::path(get, path = "/v1/models/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Model), (status = 404, body = ErrorBody)))]
pub(crate) async fn model(
    State(server): State<Arc<Shared>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    server.check_model(Some(id.as_ref().map_or("", |id| id.as_str())))?;
    Ok(Json(model_of(&server)))
}

/// Whether the server takes requests; needs no key.
#[utoipa::path(get, path = "/health", responses((status = 200), (status = 503)))]
pub(crate) async fn health(State(server): State<Arc<Shared>>) -> Response {
    match server.closing.is_cancelled() {
        false => Json(serde_json::json!({ "status": "ok" })).into_response(),
        true => (StatusCode::SERVICE_UNAVAILABLE, Json(serde_json::json!({ "status": "stopping" }))).into_response(),
    }
}

/// Numbers for Prometheus.
pub(crate) async fn metrics(State(server): State<Arc<Shared>>) -> Response {
    server.note_load();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], server.metrics.text()).into_response()
}

/// A small picture of a sampled frame, as reports name it.
#[utoipa::path(get, path = "/v1/longvu/pictures/{key}/{picture}", params(("key" = String, Path), ("picture" = String, Path)),
    responses((status = 200, content_type = "image/jpeg"), (status = 404, body = ErrorBody)))]
pub(crate) async fn picture(
    State(server): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, ApiError> {
    let gone = || ApiError::not_found("there is no such picture, or it is no longer kept; ask again about the video");
    let Path((key, picture)) = path.map_err(|_| gone())?;
    let sample: usize = picture.strip_suffix(".jpg").and_then(|sample| sample.parse().ok()).ok_or_else(gone)?;
    let read = tokio::task::spawn_blocking(move || server.encodings.picture(&key, sample));
    let bytes = read.await.map_err(|error| ApiError::internal(&error))?.ok_or_else(gone)?;
    // The key stands for the file's content and how it was looked at.
    let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=86400, immutable")];
    Ok((headers, bytes).into_response())
}

/// What the page begins with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Settings {
    model: String,
    /// Whether it is the built-in one, which knows drawn videos only.
    miniature: bool,
    presets: Vec<String>,
    preset: String,
    /// Frames a second.
    fps: f64,
    dino_threshold: f64,
    drop_threshold: f64,
    max_upload: u64,
    max_frames: usize,
    #[schema(value_type = Option<Object>)]
    example: Option<page::Example>,
}

/// What may be set, and to what it is set unless a request says otherwise.
#[utoipa::path(get, path = "/v1/longvu/settings", responses((status = 200, body = Settings)))]
pub(crate) async fn settings(State(server): State<Arc<Shared>>) -> Json<Settings> {
    let (preset, config) = (server.config.preset, server.model.config());
    let stages = preset.settings(config.dino_threshold, config.drop_threshold);
    Json(Settings {
        model: server.config.model_name.clone(),
        miniature: server.config.miniature,
        presets: Preset::ALL.iter().map(ToString::to_string).collect(),
        preset: preset.to_string(),
        fps: preset.sample_fps(),
        dino_threshold: stages.temporal.threshold,
        drop_threshold: stages.spatial.threshold,
        max_upload: server.config.max_upload,
        max_frames: server.config.max_frames,
        example: server.config.page.then(page::example),
    })
}
