//! What is too large for this crate to take on.

/// Longest header of a saved encoded video, in bytes: an hour's takes a thousandth of it.
pub(crate) const ENCODED_HEADER_BYTES: u64 = 1 << 24;

/// Longest saved encoded video, in bytes, unless [`LongVuBuilder::encoded_bytes`](crate::LongVuBuilder::encoded_bytes) says
/// otherwise: as many as 7,200 frames of the released models take, with 144 cells of 1024 channels in f32. The temporal
/// stage keeps 400 of a video at most; where it keeps all, two hours at a frame a second fit.
pub(crate) const ENCODED_BYTES: u64 = 4 << 30;
