//! Which parts of a model are in memory when.

use serde::Serialize;

/// Which parts of a model are in memory when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Residency {
    /// All of it, from loading on.
    #[default]
    Whole,
    /// The towers from loading on, the language model from the first question on.
    Towers,
    /// Each tower while frames go through it, the language model from the first question on.
    ///
    /// One video and then questions about it, however many, cost what they cost otherwise; each further video reads the
    /// towers again.
    OnDemand,
}
