//! The routes of `/v1/files`: uploads, which requests then name by their id.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{
        DefaultBodyLimit, FromRequest, Multipart, Path, Query, Request, State,
        multipart::{Field, MultipartError},
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tower_http::services::ServeFile;
use utoipa::{IntoParams, ToSchema};

use super::{
    MediaSources,
    form::Heads,
    store::{self, Blob, Incoming},
    uploads::Upload,
};
use crate::api_error::{ApiError, ErrorBody};

/// What a form has beside the file: boundaries, heads of fields, small fields.
const FORM: u64 = 64 << 10;
/// Bytes of a field that is not the file.
const FIELD: usize = 256;
/// Characters of a file's name.
const NAME: usize = 255;

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is there for the description; the form is read as it arrives")]
pub(crate) struct UploadForm {
    /// A video or a picture.
    #[schema(value_type = String, format = Binary)]
    pub file: String,
    /// What it is for; `user_data` unless told.
    pub purpose: Option<String>,
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileObject {
    /// What requests name it by.
    pub id: String,
    /// Always `file`.
    pub object: &'static str,
    pub bytes: u64,
    /// Seconds since 1970.
    pub created_at: u64,
    pub filename: String,
    pub purpose: String,
    /// Always `processed`: a file can be used at once.
    pub status: &'static str,
}

/// Uploaded files, in pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileList {
    /// Always `list`.
    pub object: &'static str,
    pub data: Vec<FileObject>,
    pub first_id: Option<String>,
    pub last_id: Option<String>,
    /// Whether there are more after `last_id`.
    pub has_more: bool,
}

/// Which files to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// The id after which the list goes on.
    after: Option<String>,
    /// How many, 10,000 unless told.
    limit: Option<usize>,
    /// `desc`, the newest first, unless `asc`.
    order: Option<Order>,
    /// Those for this purpose alone.
    purpose: Option<String>,
}

/// Of files by when they were uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    Asc,
    Desc,
}

/// That a file is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileDeleted {
    pub id: String,
    /// Always `file`.
    pub object: &'static str,
    /// Always true.
    pub deleted: bool,
}

/// The routes below `/v1/files`.
pub(crate) fn router(sources: Arc<MediaSources>) -> Router {
    let limit = usize::try_from(sources.max_upload.saturating_add(FORM)).unwrap_or(usize::MAX);
    Router::new()
        .route("/v1/files", routing::post(upload).layer(DefaultBodyLimit::max(limit)).get(list))
        .route("/v1/files/{id}", routing::get(describe).delete(delete))
        .route("/v1/files/{id}/content", routing::get(content))
        .with_state(sources)
}

/// Uploads a video or a picture.
#[utoipa::path(
    post,
    path = "/v1/files",
    tag = "files",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, body = FileObject),
        (status = 400, description = "The form cannot be read, or has no file", body = ErrorBody),
        (status = 408, description = "Nothing came for too long", body = ErrorBody),
        (status = 413, description = "The file is too large", body = ErrorBody),
        (status = 503, description = "All files that are kept are in use", body = ErrorBody),
        (status = 507, description = "The disk is full", body = ErrorBody),
    )
)]
pub(crate) async fn upload(
    State(sources): State<Arc<MediaSources>>,
    request: Request,
) -> Result<Json<FileObject>, ApiError> {
    // Before anything is read.
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > sources.max_upload.saturating_add(FORM)) {
        return Err(store::too_large(sources.max_upload).param("file"));
    }
    let _place = sources.receiving.try_acquire().map_err(|_| {
        ApiError::busy("as many uploads as the server takes at once are under way; try again", Duration::from_secs(2))
    })?;
    let (parts, body) = request.into_parts();
    let (heads, body) = Heads::of(body);
    let form = Multipart::from_request(Request::from_parts(parts, body), &()).await.map_err(|_| {
        ApiError::bad_request("the request is no form: its content type is to be multipart/form-data with a boundary")
    })?;
    let upload = receive(&sources, form, &heads).await?;
    Ok(Json(FileObject::of(&upload)))
}

async fn receive(sources: &MediaSources, mut form: Multipart, heads: &Heads) -> Result<Upload, ApiError> {
    let mut file: Option<(Arc<Blob>, String, Option<String>)> = None;
    let mut purpose = None;
    loop {
        heads.begin();
        let Some(field) = in_time(sources, form.next_field()).await? else { break };
        heads.end();
        match field.name() {
            Some("file") if file.is_some() => {
                return Err(
                    ApiError::bad_request("a form has one file; upload each by a request of its own").param("file")
                );
            }
            Some("file") => {
                let name = clean_name(field.file_name().unwrap_or_default());
                let mime = field.content_type().and_then(media_type);
                let blob = receive_file(sources, field).await.map_err(|error| error.param("file"))?;
                file = Some((blob, name, mime));
            }
            Some("purpose") => purpose = Some(receive_text(sources, field).await?),
            // Read over, within the limit of the whole body.
            _ => {}
        }
    }
    let Some((blob, name, mime)) = file else {
        return Err(ApiError::bad_request("the form has no field `file`").param("file"));
    };
    sources.uploads.add(blob, name, purpose.unwrap_or_else(|| "user_data".to_owned()), mime)
}

async fn receive_file(sources: &MediaSources, mut field: Field<'_>) -> Result<Arc<Blob>, ApiError> {
    let mut incoming = Incoming::new(sources.writer()?);
    while let Some(bytes) = in_time(sources, field.chunk()).await? {
        incoming.push(&bytes).await?;
    }
    incoming.finish().await
}

async fn receive_text(sources: &MediaSources, mut field: Field<'_>) -> Result<String, ApiError> {
    let wrong = || ApiError::bad_request(format!("`purpose` is to be text of at most {FIELD} bytes")).param("purpose");
    let mut text = Vec::new();
    while let Some(bytes) = in_time(sources, field.chunk()).await? {
        if text.len() + bytes.len() > FIELD {
            return Err(wrong());
        }
        text.extend_from_slice(&bytes);
    }
    String::from_utf8(text).map_err(|_| wrong())
}

/// The next of a form, unless it lets wait for too long.
async fn in_time<T>(
    sources: &MediaSources,
    next: impl Future<Output = Result<T, MultipartError>>,
) -> Result<T, ApiError> {
    let next = tokio::time::timeout(sources.idle_time, next).await;
    let slow = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "nothing came of the upload for too long");
    next.map_err(slow)?.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => store::too_large(sources.max_upload),
        _ => ApiError::bad_request(format!("the form cannot be read: {}", error.body_text())),
    })
}

/// Lists what was uploaded and is still there.
#[utoipa::path(
    get,
    path = "/v1/files",
    tag = "files",
    params(ListQuery),
    responses((status = 200, body = FileList), (status = 400, description = "The query cannot be read", body = ErrorBody))
)]
pub(crate) async fn list(
    State(sources): State<Arc<MediaSources>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<FileList>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let mut uploads = sources.uploads.list();
    if query.order != Some(Order::Asc) {
        uploads.reverse();
    }
    if let Some(after) = &query.after {
        let found = uploads.iter().position(|upload| upload.id == *after);
        let found = found.ok_or_else(|| ApiError::bad_request("there is no file of this id").param("after"))?;
        uploads.drain(..=found);
    }
    if let Some(purpose) = &query.purpose {
        uploads.retain(|upload| upload.purpose == *purpose);
    }
    let limit = query.limit.unwrap_or(10_000);
    let has_more = uploads.len() > limit;
    let data: Vec<_> = uploads.iter().take(limit).map(FileObject::of).collect();
    let id = |file: Option<&FileObject>| file.map(|file| file.id.clone());
    let (first_id, last_id) = (id(data.first()), id(data.last()));
    Ok(Json(FileList { object: "list", data, first_id, last_id, has_more }))
}

/// Describes a file.
#[utoipa::path(
    get,
    path = "/v1/files/{id}",
    tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, body = FileObject), (status = 404, description = "No such file", body = ErrorBody))
)]
pub(crate) async fn describe(
    State(sources): State<Arc<MediaSources>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<FileObject>, ApiError> {
    Ok(Json(FileObject::of(&sources.uploads.get(&text(id))?)))
}

/// Deletes a file. Requests that are at it go on.
#[utoipa::path(
    delete,
    path = "/v1/files/{id}",
    tag = "files",
    params(("id" = String, Path)),
    responses((status = 200, body = FileDeleted), (status = 404, description = "No such file", body = ErrorBody))
)]
pub(crate) async fn delete(
    State(sources): State<Arc<MediaSources>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<FileDeleted>, ApiError> {
    let Upload { id, .. } = sources.uploads.remove(&text(id))?;
    Ok(Json(FileDeleted { id, object: "file", deleted: true }))
}

/// The content of a file, or a range of it.
#[utoipa::path(
    get,
    path = "/v1/files/{id}/content",
    tag = "files",
    params(("id" = String, Path)),
    responses(
        (status = 200, content_type = "application/octet-stream"),
        (status = 206, description = "The range that was asked for", content_type = "application/octet-stream"),
        (status = 404, description = "No such file", body = ErrorBody),
        (status = 416, description = "No such range", body = ErrorBody),
    )
)]
pub(crate) async fn content(
    State(sources): State<Arc<MediaSources>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Upload { blob, mime, .. } = sources.uploads.get(&text(id))?;
    let served = ServeFile::new(blob.path()).try_call(request).await.map_err(|error| ApiError::internal(&error))?;
    let mut response = served.map(|body| {
        // The file is in use until its last byte is sent.
        Body::from_stream(Body::new(body).into_data_stream().inspect(move |_| {
            let _in_use = &blob;
        }))
    });
    let headers = response.headers_mut();
    safe_headers(headers, mime.as_deref());
    if response.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(response);
    }
    let range = response.headers_mut().remove(header::CONTENT_RANGE);
    let message = "there is no such range in the file";
    let mut refusal = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, message).param("Range").into_response();
    refusal.headers_mut().extend(range.map(|range| (header::CONTENT_RANGE, range)));
    Ok(refusal)
}

/// Lets a browser play the content and do nothing else with it: it is a stranger's, on this server's own origin.
fn safe_headers(headers: &mut HeaderMap, mime: Option<&str>) {
    let mime = mime.and_then(|mime| HeaderValue::from_str(mime).ok());
    headers.insert(header::CONTENT_TYPE, mime.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; media-src 'self'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}

/// A media type that a browser only shows or plays.
fn media_type(declared: &str) -> Option<String> {
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, format) = essence.split_once('/')?;
    let token = !format.is_empty() && format.chars().all(|char| char.is_ascii_alphanumeric() || "-+.".contains(char));
    let plays = kind == "video" && token;
    // Not SVG, which may hold a script.
    let shows = kind == "image" && ["png", "jpeg", "gif", "webp", "bmp", "avif"].contains(&format);
    (plays || shows).then_some(essence)
}

/// The last part of a name, without characters that control a terminal.
fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|char| !char.is_control()).take(NAME).collect();
    if clean.is_empty() { "upload".to_owned() } else { clean }
}

/// A path that is no text names no file.
fn text(id: Result<Path<String>, PathRejection>) -> String {
    id.map(|Path(id)| id).unwrap_or_default()
}

impl FileObject {
    fn of(upload: &Upload) -> Self {
        let Upload { id, filename, purpose, created_at, blob, .. } = upload;
        Self {
            id: id.clone(),
            object: "file",
            bytes: blob.bytes(),
            created_at: *created_at,
            filename: filename.clone(),
            purpose: purpose.clone(),
            status: "processed",
        }
    }
}

#[cfg(test)]
mod tests;
