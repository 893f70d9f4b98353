//! The two streams: answers and data on stdout, everything else on stderr.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

use anyhow::{Context, Result};
use longvu::text::escape_lines;
use serde::Serialize;

use crate::output::hints;

/// Standard output that nobody reads any more.
#[derive(Debug)]
struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output any more")
    }
}

impl std::error::Error for ReaderGone {}

/// Writes text to stdout at once, as pieces of an answer arrive.
///
/// # Errors
/// Whatever the stream says; a reader that went away is told apart by [`is_reader_gone`].
pub fn text(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = if stdout.is_terminal() {
        stdout.write_all(harmless(text).as_bytes())
    } else {
        stdout.write_all(text.as_bytes())
    };
    written.and_then(|()| stdout.flush()).map_err(unwritten)
}

/// Standard output that cannot be written to.
#[derive(Debug)]
struct Unwritable(io::Error);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to standard output")
    }
}

impl std::error::Error for Unwritable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn unwritten(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => Unwritable(error).into(),
    }
}

/// Writes a line to stdout.
///
/// # Errors
/// As [`text`].
pub fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Writes a value to stdout as JSON: indented, or on a single line.
///
/// # Errors
/// As [`text`].
pub fn json(value: &impl Serialize, indented: bool) -> Result<()> {
    let json = if indented { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    line(&json.context("cannot write the result as JSON")?)
}

/// Writes a line to stderr, with what a terminal would act on written out: messages quote files and their names. Where even
/// that fails there is nobody left to tell.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape_lines(line));
}

/// Writes a warning, on one line, to stderr.
pub fn warning(text: &str) {
    note(&format!("warning: {}", text.replace('\n', " ")));
}

/// Writes an error and its causes to stderr, the outermost first.
pub fn error(error: &anyhow::Error) {
    note(&format!("error: {}", hints::message(error)));
}

/// Whether the work failed only because nobody reads our standard output any more, `head` say. A report that could not be
/// written is another matter.
pub fn is_reader_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<ReaderGone>())
}

/// Whether standard output can't be written to, whatever the reason.
pub fn is_output_lost(error: &anyhow::Error) -> bool {
    is_reader_gone(error) || error.chain().any(|cause| cause.is::<Unwritable>())
}

/// A model's text for a terminal: control characters, which could move the cursor or worse, are replaced.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_control_characters() {
        assert_eq!(harmless("a\tb\n\u{1b}[2J\u{7}é"), "a\tb\n\u{fffd}[2J\u{fffd}é");
    }

    #[test]
    fn only_standard_output_may_lose_its_reader() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_reader_gone(&unwritten(broken()).context("cannot print")));
        assert!(!is_reader_gone(&anyhow::Error::new(broken()).context("the report could not be written")));
        let full = unwritten(io::ErrorKind::StorageFull.into());
        assert!(!is_reader_gone(&full) && is_output_lost(&full));
        assert!(!is_output_lost(&anyhow::Error::new(broken()).context("the weights cannot be read")));
    }
}
