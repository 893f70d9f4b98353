//! What a request's work tells whoever answers the client.

use longvu::{Answer, Progress};
use serde::Serialize;

use crate::{api_error::ApiError, protocol::response::Report};

/// What is told, in order; the last is `Ended` or `Failed`.
#[derive(Debug)]
pub(crate) enum Event {
    /// How far it is. A client that reads slowly misses some of these, and nothing else.
    Progress(Told),
    /// A piece of the answer.
    Piece(String),
    Ended(Box<Ended>),
    Failed(ApiError),
}

/// An answer that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub answer: Answer,
    pub report: Report,
}

/// How far a step is, for a comment of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Told {
    /// `queue`, `fetch`, `open`, `look`, `aggregate`, `project` or `prompt`.
    pub step: &'static str,
    pub done: u64,
    pub total: Option<u64>,
    pub seconds: f64,
    /// Seconds until the step's end, if it goes on as so far.
    pub left: Option<f64>,
}

impl Told {
    /// A step that has begun.
    pub fn begun(step: &'static str) -> Self {
        Self { step, done: 0, total: None, seconds: 0.0, left: None }
    }

    pub fn of(progress: &Progress<'_>) -> Self {
        Self::at(progress.step.name(), progress.done, progress.total, progress.seconds)
    }

    pub fn at(step: &'static str, done: u64, total: Option<u64>, seconds: f64) -> Self {
        let left = total.filter(|_| done > 0).map(|total| {
            let left = total.saturating_sub(done) as f64;
            (seconds * left / done as f64 * 10.0).round() / 10.0
        });
        Self { step, done, total, seconds: (seconds * 1000.0).round() / 1000.0, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_time_so_far() {
        assert_eq!(Told::at("look", 15, Some(60), 5.0).left, Some(15.0));
        assert_eq!(Told::at("look", 0, Some(60), 5.0).left, None);
        assert_eq!(Told::at("look", 3, None, 5.0).left, None);
        assert_eq!(Told::at("look", 60, Some(60), 5.0).left, Some(0.0));
    }
}
