//! Work that was done but for some of its parts.

use std::fmt;

/// What was asked for is there, and some of it has an error in its place: exit code 3.
#[derive(Debug)]
pub struct SomeFailed(pub String);

impl fmt::Display for SomeFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SomeFailed {}
