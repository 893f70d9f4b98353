//! Texts of files and servers on their way into messages.

use std::{borrow::Cow, error::Error, path::Path};

/// `text` with every character that moves the cursor, rings, colours or reorders written as Rust writes it: `\u{1b}`.
///
/// For text out of files, file names and answers of servers on its way into a message, which may reach a terminal.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, acts)
}

/// As [`escape`], for texts of several lines: newlines stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| c != '\n' && acts(c))
}

/// `path` as a message shows it: [`escape`]d.
pub fn escape_path(path: &Path) -> String {
    escape(&path.to_string_lossy()).into_owned()
}

fn escape_where(text: &str, acts: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal does something else with `c` than show it in its place.
fn acts(c: char) -> bool {
    let bidirectional =
        matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidirectional || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// Characters of a reason that are shown; one that quotes more of a file loses its middle.
const SHOWN: usize = 4000;

/// A reason as a message shows it: escaped, and without its middle where it is very long.
pub fn told(text: &str) -> String {
    let text = escape_lines(text);
    let (start, end) = (text.floor_char_boundary(SHOWN / 2), text.len().saturating_sub(SHOWN / 2));
    if text.len() <= SHOWN {
        return text.into_owned();
    }
    format!("{} […] {}", &text[..start], &text[text.ceil_char_boundary(end)..])
}

/// What `error` says and what is below it, from the outermost on, joined by `: `; each is [`told`].
///
/// Nothing is said twice: errors of other libraries often end with what their cause says.
pub fn chain(error: &dyn Error) -> String {
    let mut said = told(&error.to_string());
    let mut below = error.source();
    while let Some(cause) = below {
        let text = told(&cause.to_string());
        if !said.ends_with(&text) {
            said = format!("{said}: {text}");
        }
        below = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with a cause.
    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Caused {
        said: &'static str,
        source: Option<Box<Caused>>,
    }

    #[test]
    fn a_chain_says_each_thing_once() {
        let of = |said, source: Option<Caused>| Caused { said, source: source.map(Box::new) };
        assert_eq!(chain(&of("alone", None)), "alone");
        let disk = || of("the disk is full\u{1b}", None);
        assert_eq!(
            chain(&of("no model", Some(of("no file", Some(disk()))))),
            r"no model: no file: the disk is full\u{1b}"
        );
        assert_eq!(chain(&of("no file: the disk is full\u{1b}", Some(disk()))), r"no file: the disk is full\u{1b}");
    }

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        assert!(matches!(escape("größer, 日本, 🎬"), Cow::Borrowed(_)));
        assert_eq!(escape("a\u{1b}[31mb\u{7}\r\n\u{7f}\u{9b}c"), r"a\u{1b}[31mb\u{7}\r\n\u{7f}\u{9b}c");
        assert_eq!(escape("x\u{202e}y\u{2066}"), r"x\u{202e}y\u{2066}");
        assert_eq!(escape_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
    }
}
