//! What can be wrong with a frame.

use longvu_core::ErrorKind;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why a frame cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pixel buffer does not hold `height * width * 3` bytes.
    #[error("a frame of {width}x{height} pixels has {expected} RGB bytes, but {found} were given")]
    FrameSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes that such a frame has.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::FrameSize { .. } => ErrorKind::BadInput,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let error = Error::FrameSize { width: 2, height: 2, expected: 12, found: 11 };
        assert_eq!(error.kind(), ErrorKind::BadInput);
    }
}
