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

    /// The frame is so long and thin that nothing of it survives unpadding.
    #[error(
        "a frame of {a}x{b} pixels is too elongated: once padded to a square, less than one of {side} token rows or \
         columns shows it; crop the video to at most {side}:1"
    )]
    TooElongated {
        /// First size of the pair.
        a: usize,
        /// Second size of the pair.
        b: usize,
        /// Side of the token grid.
        side: usize,
    },
}
