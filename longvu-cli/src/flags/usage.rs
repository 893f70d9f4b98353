//! Wrong calls, and values that more than one group refuses.

use clap::error::ErrorKind;

/// An error in how the program was called, which ends it with clap's exit code 2.
pub fn usage(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

/// Reads a number that is neither infinite nor none at all.
///
/// # Errors
/// Says what is accepted.
pub fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| "write a number such as 0.5".to_owned())
}
