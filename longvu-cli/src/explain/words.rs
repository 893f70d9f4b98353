//! Words and numbers that several parts of the page have.

use longvu::FrameFate;
use maud::{Markup, html};

use crate::flags::time::clock;

/// Somebody's text without control characters, which no page may have.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// What became of a frame, in a word or two.
pub fn fate(fate: FrameFate) -> &'static str {
    match fate {
        FrameFate::TemporalDropped => "dropped (temporal)",
        FrameFate::QueryDropped => "dropped (query)",
        FrameFate::SpatialDropped => "dropped (spatial)",
        FrameFate::Low => "low resolution",
        FrameFate::Full => "full resolution",
        _ => "unknown",
    }
}

/// The class that the style sheet knows a fate by.
pub fn class(fate: FrameFate) -> &'static str {
    match fate {
        FrameFate::Full => "full",
        FrameFate::Low => "low",
        _ => "gone",
    }
}

/// Seconds as a clock shows them: `1:02:03`, and with hundredths where there are any.
pub fn time(seconds: f64) -> String {
    let text = clock(seconds);
    text.strip_suffix(".00").unwrap_or(&text).to_owned()
}

/// `1 frame`, `2 frames`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `12 of 300 frames shown, evenly spread`; nothing where all are.
pub fn shown(here: usize, all: usize, what: &str) -> Option<String> {
    (here < all).then(|| format!("{here} of {all} {what} shown, evenly spread."))
}

/// A table row's number cell.
pub fn number(value: impl maud::Render) -> Markup {
    html! { td.number { (value) } }
}

/// Three digits after the point.
pub fn similarity(value: f32) -> String {
    format!("{value:.3}")
}

/// A score against the question, of whatever size.
pub fn score(value: f32) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) { format!("{value:.4}") } else { format!("{value:.3e}") }
}
