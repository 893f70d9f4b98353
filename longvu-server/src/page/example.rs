//! A drawn video that the built-in model can answer questions about, in pieces as players ask for them.

use std::ops::RangeInclusive;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_range_header::parse_range_header;
use serde::Serialize;

/// Where the video is.
pub const URL: &str = "/v1/longvu/example.mp4";

/// What the built-in model answers rightly about it.
const QUESTIONS: [&str; 3] = [
    "Which color does the star have?",
    "Which digit flashes up for about a second?",
    "Tell me the shape of the purple thing.",
];

/// What `longvu demo --seed 2 --seconds 60` draws, compressed again with closed groups of pictures: Chromium cannot seek to
/// a picture that others before it lean on.
const VIDEO: &[u8] = include_bytes!("example.mp4");

/// The video's address, and what to ask about it.
#[derive(Debug, Serialize)]
pub(crate) struct Example {
    url: &'static str,
    questions: [&'static str; 3],
}

impl Default for Example {
    fn default() -> Self {
        Self { url: URL, questions: QUESTIONS }
    }
}

/// `GET /v1/longvu/example.mp4`
pub async fn serve(request: HeaderMap) -> Response {
    let mut response = match wanted(&request) {
        Ok(None) => Bytes::from_static(VIDEO).into_response(),
        Ok(Some(range)) => {
            let (first, last) = (*range.start(), *range.end());
            let piece = VIDEO.get(first as usize..=last as usize).unwrap_or_default();
            let place = format!("bytes {first}-{last}/{}", VIDEO.len());
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, place)], Bytes::from_static(piece)).into_response()
        }
        Err(()) => {
            let place = format!("bytes */{}", VIDEO.len());
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, place)]).into_response()
        }
    };
    for (name, value) in [
        (header::CONTENT_TYPE, "video/mp4"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "private, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The piece that a request wants; `None` for all, as also for several pieces at once, which no player needs.
fn wanted(request: &HeaderMap) -> Result<Option<RangeInclusive<u64>>, ()> {
    let Some(Ok(text)) = request.get(header::RANGE).map(HeaderValue::to_str) else { return Ok(None) };
    // What is no range at all is to be ignored.
    let Ok(ranges) = parse_range_header(text) else { return Ok(None) };
    match ranges.validate(VIDEO.len() as u64).map_err(|_| ())?.as_slice() {
        [range] => Ok(Some(range.clone())),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(range: Option<&'static str>) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = HeaderMap::new();
        if let Some(range) = range {
            request.insert(header::RANGE, HeaderValue::from_static(range));
        }
        let (parts, body) = serve(request).await.into_parts();
        (parts.status, parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap())
    }

    #[tokio::test]
    async fn it_comes_whole_or_in_pieces() {
        assert!(VIDEO.len() < 150_000 && &VIDEO[4..8] == b"ftyp");
        for whole in [None, Some("nonsense"), Some("bytes=0-1,4-5")] {
            let (status, headers, body) = get(whole).await;
            assert_eq!((status, &body[..]), (StatusCode::OK, VIDEO));
            assert_eq!(headers[header::CONTENT_TYPE], "video/mp4");
        }
        for (range, piece) in
            [("bytes=4-7", &VIDEO[4..8]), ("bytes=40000-", &VIDEO[40_000..]), ("bytes=-9", &VIDEO[VIDEO.len() - 9..])]
        {
            let (status, headers, body) = get(Some(range)).await;
            assert_eq!((status, &body[..]), (StatusCode::PARTIAL_CONTENT, piece));
            assert!(headers[header::CONTENT_RANGE].to_str().unwrap().ends_with(&format!("/{}", VIDEO.len())));
        }
        let (status, headers, body) = get(Some("bytes=900000-")).await;
        assert_eq!((status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
        assert_eq!(headers[header::CONTENT_RANGE].to_str().unwrap(), format!("bytes */{}", VIDEO.len()));
    }

    /// The example is there to be answered about.
    #[test]
    fn the_miniature_answers_its_questions() {
        let model = longvu::LongVu::miniature().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.mp4");
        std::fs::write(&path, VIDEO).unwrap();
        let video = model.encode(longvu::Video::open(&path).unwrap()).unwrap();
        let answers = QUESTIONS.map(|question| model.ask(&video, question).unwrap());
        assert_eq!(answers, ["yellow", "7", "square"]);
    }
}
