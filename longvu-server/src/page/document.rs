//! The document: its parts put together, and the headers that keep everything else out of it.

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};

const FRAME: &str = include_str!("index.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("script/words.js"),
    include_str!("script/net.js"),
    include_str!("script/settings.js"),
    include_str!("script/seen.js"),
    include_str!("script/source.js"),
    include_str!("script/main.js"),
);

static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);

struct Document {
    html: String,
    policy: String,
    /// Changes with the program.
    tag: String,
}

impl Document {
    fn new() -> Self {
        let html = FRAME.replace("{style}", STYLE).replace("{script}", SCRIPT);
        // What is not named is forbidden: no other host, no script or style that is not this one, no frame around it.
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src 'self' blob: data:; media-src 'self' blob:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE),
        );
        let tag = format!("\"{}\"", BASE64_STANDARD.encode(Sha256::digest(&html)));
        Self { html, policy, tag }
    }
}

/// A text as a source of a Content-Security-Policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// `GET /`
pub async fn serve(request: HeaderMap) -> Response {
    let document = &*DOCUMENT;
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == document.tag.as_bytes());
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Html(document.html.as_str()).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [(header::CONTENT_SECURITY_POLICY, &document.policy), (header::ETAG, &document.tag)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser hashes is exactly what stands between the tags.
    #[tokio::test]
    async fn the_policy_allows_the_documents_own_script_and_style_and_nothing_else() {
        let response = serve(HeaderMap::new()).await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let html = std::str::from_utf8(&body).unwrap();
        for (directive, open, close) in
            [("script-src", "<script type=\"module\">", "</script>"), ("style-src", "<style>", "</style>")]
        {
            assert_eq!(html.matches(open).count(), 1);
            let inner = html.split_once(open).unwrap().1.split_once(close).unwrap().0;
            assert!(policy.contains(&format!("{directive} '{}';", hash(inner))), "{directive}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
        assert!(html.contains("</html>") && !html.contains("{style}") && !html.contains("{script}"));
    }

    /// Attributes that hold scripts or styles are what the policy would refuse; other hosts and markup made of data, too.
    #[test]
    fn the_document_keeps_to_its_policy() {
        for forbidden in [
            " onclick=",
            " style=",
            "javascript:",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!DOCUMENT.html.contains(forbidden), "{forbidden}");
        }
        let hosts: Vec<&str> = DOCUMENT.html.match_indices("://").map(|(at, _)| &DOCUMENT.html[at..]).collect();
        assert!(hosts.iter().all(|rest| rest.starts_with("://www.w3.org/2000/svg")), "{hosts:?}");
    }

    #[tokio::test]
    async fn a_copy_that_is_current_is_not_sent_again() {
        let mut request = HeaderMap::new();
        let tag = serve(request.clone()).await.headers()[header::ETAG].clone();
        request.insert(header::IF_NONE_MATCH, tag);
        let response = serve(request).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
    }
}
