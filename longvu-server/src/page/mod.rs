//! The page to look through: one document, embedded in the program, and the video that it offers as an example.

mod document;
mod example;

use axum::{Router, routing::get};

pub(crate) use self::example::Example;

/// The routes of the page and its example.
pub(crate) fn router() -> Router {
    Router::new().route("/", get(document::serve)).route(example::URL, get(example::serve))
}

/// What the page offers to look at.
pub(crate) fn example() -> Example {
    Example::default()
}
