//! What can go wrong with devices and dtypes.

use crate::text::{escape, told};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports; each message says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A device string that this build cannot serve.
    #[error(
        "device `{}` is not available: {}; available here: {}",
        escape(requested),
        told(reason),
        available.join(", ")
    )]
    Device {
        /// The string that was asked for.
        requested: String,
        /// Why it cannot be had.
        reason: String,
        /// Device strings that work with this build on this machine.
        available: Vec<String>,
    },

    /// A dtype name that is not known, or that the device cannot compute in.
    #[error("{}", told(.0))]
    Dtype(String),
}
