//! How much of a file's headers is looked at.

/// Boxes in a row that are looked at: a file has a handful at the top level, and as many as it has fragments.
pub(crate) const MAX_BOXES: usize = 100_000;

/// Bytes of one box that are read; those read are lists of tracks' properties, of some hundred bytes.
pub(crate) const MAX_BOX_BYTES: u64 = 1 << 20;

/// Tracks of an MP4 file that are looked at; FFmpeg itself stops at a thousand streams.
pub(crate) const MAX_TRACKS: usize = 1000;

/// Bytes from the start of a file that tell what it is where FFmpeg does not.
pub(crate) const SNIFF_BYTES: u64 = 64 << 10;
