//! What can be wrong with a frame.

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
