//! What is too large for this crate to take on.

/// Longest header of a saved encoded video, in bytes: an hour's takes a thousandth of it.
pub(crate) const ENCODED_HEADER_BYTES: u64 = 1 << 24;

/// Most frames that a saved encoded video was sampled from: twelve days at one a second.
pub(crate) const ENCODED_SAMPLES: usize = 1 << 20;
