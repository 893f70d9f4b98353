//! What is too large. Every number taken from a file is compared with one of these before memory or time is spent on it.

use std::path::Path;

use crate::{Error, Result};

/// Pixels of one picture (16384 x 8192).
///
/// Such a picture takes 400 MB as RGB. The largest cameras take pictures of 100 to 130 million pixels.
pub const MAX_PIXELS: u64 = 1 << 27;

/// The longest side of a picture, in pixels (131,072).
///
/// Beyond JPEG's 65,535 and eight times an 8K screen's width. A picture of a pixel's height and millions of pixels' width is
/// small by its area, but whoever pads it to a square, or keeps tables by column, pays for the side.
pub const MAX_SIDE: u32 = 1 << 17;

/// The pixels of all pictures of an animated GIF, PNG or WebP together, canvas times pictures (2^31).
///
/// A thousand pictures at 1920x1080, some ten seconds of decoding. Such files compress an unchanging picture to a few bytes,
/// and every picture builds on the one before it: without this, kilobytes ask for minutes.
pub const MAX_ANIMATION_PIXELS: u64 = 1 << 31;

/// Bytes of one piece of metadata (colour profile, text, EXIF) once decompressed, and of a PNG's pieces together (64 MiB).
///
/// Colour profiles and EXIF take a few megabytes at most. A compressed one can grow a thousandfold.
pub const MAX_METADATA_BYTES: u64 = 1 << 26;

/// Bytes of a JPEG file (512 MiB), which is read as a whole.
///
/// Four bytes a pixel at [`MAX_PIXELS`], more than the best quality takes.
pub const MAX_JPEG_BYTES: u64 = 1 << 29;

/// The limits of reading videos and pictures, to be changed by those who need more and have the memory.
///
/// ```
/// use longvu_video::{Limits, VideoOptions};
/// let options = VideoOptions::default().with_limits(Limits::default().with_animation_pixels(1 << 34));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Limits {
    /// Pixels of a picture. Default: [`MAX_PIXELS`].
    pub pixels: u64,
    /// Pixels of a picture's longer side. Default: [`MAX_SIDE`].
    pub side: u32,
    /// Pixels of all pictures of an animation together. Default: [`MAX_ANIMATION_PIXELS`].
    pub animation_pixels: u64,
    /// Bytes of metadata. Default: [`MAX_METADATA_BYTES`].
    pub metadata_bytes: u64,
    /// Bytes of a JPEG file. Default: [`MAX_JPEG_BYTES`].
    pub jpeg_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pixels: MAX_PIXELS,
            side: MAX_SIDE,
            animation_pixels: MAX_ANIMATION_PIXELS,
            metadata_bytes: MAX_METADATA_BYTES,
            jpeg_bytes: MAX_JPEG_BYTES,
        }
    }
}

impl Limits {
    /// Sets [`pixels`](Self::pixels).
    #[must_use]
    pub fn with_pixels(mut self, pixels: u64) -> Self {
        self.pixels = pixels;
        self
    }

    /// Sets [`side`](Self::side).
    #[must_use]
    pub fn with_side(mut self, pixels: u32) -> Self {
        self.side = pixels;
        self
    }

    /// Sets [`animation_pixels`](Self::animation_pixels).
    #[must_use]
    pub fn with_animation_pixels(mut self, pixels: u64) -> Self {
        self.animation_pixels = pixels;
        self
    }

    /// Sets [`metadata_bytes`](Self::metadata_bytes).
    #[must_use]
    pub fn with_metadata_bytes(mut self, bytes: u64) -> Self {
        self.metadata_bytes = bytes;
        self
    }

    /// Sets [`jpeg_bytes`](Self::jpeg_bytes).
    #[must_use]
    pub fn with_jpeg_bytes(mut self, bytes: u64) -> Self {
        self.jpeg_bytes = bytes;
        self
    }

    /// Refuses a picture that is too large by its area or a side.
    pub(crate) fn check_picture(&self, path: &Path, (width, height): (u32, u32)) -> Result<()> {
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Error::TooLarge { path: path.to_owned(), width, height, limit: self.pixels });
        }
        if width.max(height) > self.side {
            return Err(Error::SideTooLong { path: path.to_owned(), width, height, limit: self.side });
        }
        Ok(())
    }

    /// Refuses an animation of too many pixels in all.
    pub(crate) fn check_animation(&self, path: &Path, (width, height): (u32, u32), pictures: usize) -> Result<()> {
        let all = (u64::from(width) * u64::from(height)).checked_mul(pictures as u64);
        if all.is_none_or(|all| all > self.animation_pixels) {
            let limit = self.animation_pixels;
            return Err(Error::AnimationTooLarge { path: path.to_owned(), width, height, pictures, limit });
        }
        Ok(())
    }
}

/// Boxes in a row that are looked at: a file has a handful at the top level, and as many as it has fragments.
pub(crate) const MAX_BOXES: usize = 100_000;

/// Bytes of one box that are read; those read are lists of tracks' properties, of some hundred bytes.
pub(crate) const MAX_BOX_BYTES: u64 = 1 << 20;

/// Tracks of an MP4 file that are looked at; FFmpeg itself stops at a thousand streams.
pub(crate) const MAX_TRACKS: usize = 1000;

/// Bytes from the start of a file that tell what it is where FFmpeg does not.
pub(crate) const SNIFF_BYTES: u64 = 64 << 10;

/// Lists of associations (`ipma`) of a HEIF file that are read: the standard has four kinds, of which each comes once.
pub(crate) const MAX_ASSOCIATIONS: usize = 16;

/// Scans of a JPEG whose data are checked; the decoder takes no more either. A scan of a few bytes can be a whole pass over the
/// picture.
pub(crate) const MAX_SCANS: usize = 100;

/// Blocks, or groups of them, that all scans of a JPEG pass over while its data are checked (2^27).
///
/// A second or so. A progressive picture of [`MAX_PIXELS`] without subsampling takes a quarter of it.
pub(crate) const MAX_JPEG_BLOCKS: usize = 1 << 27;

/// Bytes between two JPEGs of a stream that pad the first; streams pad to blocks of 512 to 4096 bytes.
pub(crate) const MAX_PADDING: usize = 4096;

/// Unreadable packets in a row at which a container counts as over; each can be a search through what follows.
pub(crate) const MAX_INVALID_READS: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_the_last_size_allowed() {
        let (limits, path) = (Limits::default(), Path::new("a.png"));
        for size in [(16384, 8192), (MAX_SIDE, 1024), (1, MAX_SIDE), (1, 1)] {
            limits.check_picture(path, size).unwrap();
        }
        let error = limits.check_picture(path, (16385, 8192)).unwrap_err();
        assert!(matches!(error, Error::TooLarge { width: 16385, limit: MAX_PIXELS, .. }), "{error}");
        let error = limits.check_picture(path, (u32::MAX, u32::MAX)).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        let error = limits.check_picture(path, (2, MAX_SIDE + 1)).unwrap_err();
        assert!(matches!(error, Error::SideTooLong { limit: MAX_SIDE, .. }), "{error}");
        limits.with_side(u32::MAX).check_picture(path, (2, MAX_SIDE + 1)).unwrap();

        limits.check_animation(path, (1024, 1024), 2048).unwrap();
        for pictures in [2049, usize::MAX] {
            let error = limits.check_animation(path, (1024, 1024), pictures).unwrap_err();
            assert!(matches!(error, Error::AnimationTooLarge { .. }), "{error}");
        }
        limits.with_animation_pixels(1 << 40).check_animation(path, (1024, 1024), 1 << 20).unwrap();
    }
}
