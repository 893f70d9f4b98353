//! One RGB picture.

use crate::{Error, Result};

/// One picture of a video, or an image.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct DecodedFrame {
    /// Position in the video, counted in displayed frames from 0.
    pub index: usize,
    /// Seconds since the first frame of the video.
    pub timestamp: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 8-bit red, green, blue, row by row from the top: `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl DecodedFrame {
    /// A frame from the caller's own pixels, `[height, width, 3]`, with index and time 0.
    ///
    /// # Errors
    ///
    /// [`Error::FrameSize`] if a side is 0 or `rgb` has another length.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        let pixels = u64::from(width) * u64::from(height);
        let expected = pixels.saturating_mul(3);
        if pixels == 0 || rgb.len() as u64 != expected {
            return Err(Error::FrameSize { width, height, expected, got: rgb.len() });
        }
        Ok(Self { index: 0, timestamp: 0.0, width, height, rgb })
    }

    /// The same picture at another place in time: its index, and seconds since the first frame.
    #[must_use]
    pub fn at(self, index: usize, timestamp: f64) -> Self {
        Self { index, timestamp, ..self }
    }
}

impl std::fmt::Debug for DecodedFrame {
    // Megabytes of pixels help nobody in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecodedFrame")
            .field("index", &self.index)
            .field("timestamp", &self.timestamp)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("rgb", &format_args!("[{} bytes]", self.rgb.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_must_fit_the_size() {
        let frame = DecodedFrame::from_rgb(2, 3, vec![7; 18]).unwrap().at(4, 1.5);
        assert_eq!((frame.index, frame.timestamp, frame.rgb.len()), (4, 1.5, 18));
        for (width, height, bytes) in [(2, 3, 17), (2, 3, 19), (0, 3, 0), (3, 0, 0), (u32::MAX, u32::MAX, 0)] {
            let error = DecodedFrame::from_rgb(width, height, vec![0; bytes]).unwrap_err();
            assert!(matches!(error, Error::FrameSize { .. }), "{error}");
        }
    }
}
