//! What can go wrong with devices and dtypes.

use crate::{
    ErrorKind,
    text::{escape, told},
};

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

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Device { .. } | Self::Dtype(_) => ErrorKind::Device,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let device = Error::Device { requested: "npu".into(), reason: "no such backend".into(), available: Vec::new() };
        for error in [device, Error::Dtype("unknown".into())] {
            assert_eq!(error.kind(), ErrorKind::Device, "{error}");
        }
    }
}
