//! What a model can be shown: videos, images, and frames of the caller's own.

use crate::{Result, vision::SizePair};

/// One RGB picture.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Frame {
    /// Position among the video's frames.
    pub index: usize,
    /// Seconds from the start.
    pub timestamp: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width, 3]` bytes.
    pub rgb: Vec<u8>,
}

impl Frame {
    /// A frame from RGB bytes, `[height, width, 3]`.
    ///
    /// # Errors
    /// When the buffer is not of that length, or empty.
    pub fn new(index: usize, timestamp: f64, width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        // Sides near the largest number would wrap; no buffer is that long.
        let expected = (u64::from(width) * u64::from(height)).saturating_mul(3);
        let found = rgb.len() as u64;
        if expected != found || expected == 0 {
            return Err(crate::vision::Error::FrameSize { width, height, expected, found }.into());
        }
        Ok(Self { index, timestamp, width, height, rgb })
    }
}

/// Whether frames are a video's or an image's, which are unpadded and budgeted differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "frames have a time order or they have none")]
pub enum VisualKind {
    /// Frames in time order.
    Video,
    /// A single picture.
    Image,
}

impl VisualKind {
    /// The sides of a frame of this width and height, in the order in which padding is cut.
    pub fn size_pair(self, (width, height): (u32, u32)) -> SizePair {
        match self {
            Self::Video => SizePair::of_video(width, height),
            Self::Image => SizePair::of_image(width, height),
        }
    }
}

/// Frames as a caller's source delivers them.
pub(crate) type FrameSource = Box<dyn Iterator<Item = Result<Frame>> + Send>;

/// A stream of frames about to be encoded.
pub struct Clip {
    pub(crate) kind: VisualKind,
    pub(crate) expected: Option<usize>,
    pub(crate) frames: FrameSource,
}

impl Clip {
    /// A video from frames that arrive one at a time, in time order. They are taken on another thread.
    ///
    /// `expected` is how many are coming, at most. With it frames need not wait, in memory or on disk, until it is known
    /// how long the video is, and progress has an end. A wrong number changes no result.
    pub fn from_frames<I>(frames: I, expected: Option<usize>) -> Self
    where
        I: IntoIterator<Item = Result<Frame>>,
        I::IntoIter: Send + 'static,
    {
        Self { kind: VisualKind::Video, expected, frames: Box::new(frames.into_iter()) }
    }

    /// An image.
    pub fn from_image(frame: Frame) -> Self {
        Self { kind: VisualKind::Image, expected: Some(1), frames: Box::new(std::iter::once(Ok(frame))) }
    }
}

/// Anything that [`crate::LongVu::encode`] takes.
pub trait IntoClip {
    /// Starts the stream of frames.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn into_clip(self) -> Result<Clip>;
}

impl IntoClip for Clip {
    fn into_clip(self) -> Result<Clip> {
        Ok(self)
    }
}

impl IntoClip for Vec<Frame> {
    fn into_clip(self) -> Result<Clip> {
        let expected = Some(self.len());
        Ok(Clip::from_frames(self.into_iter().map(Ok), expected))
    }
}

#[cfg(feature = "video")]
impl From<crate::video::DecodedFrame> for Frame {
    fn from(frame: crate::video::DecodedFrame) -> Self {
        let crate::video::DecodedFrame { index, timestamp, width, height, rgb, .. } = frame;
        Self { index, timestamp, width, height, rgb }
    }
}

/// A single frame is an image.
impl IntoClip for Frame {
    fn into_clip(self) -> Result<Clip> {
        Ok(Clip::from_image(self))
    }
}

/// A picture file's image; its warnings are its opener's to read.
#[cfg(feature = "video")]
impl IntoClip for crate::video::Image {
    fn into_clip(self) -> Result<Clip> {
        self.frame.into_clip()
    }
}

/// A single frame is an image.
#[cfg(feature = "video")]
impl IntoClip for crate::video::DecodedFrame {
    fn into_clip(self) -> Result<Clip> {
        Ok(Clip::from_image(self.into()))
    }
}

#[cfg(feature = "video")]
impl IntoClip for crate::video::Video {
    fn into_clip(self) -> Result<Clip> {
        (&self).into_clip()
    }
}

#[cfg(feature = "video")]
impl IntoClip for &crate::video::Video {
    fn into_clip(self) -> Result<Clip> {
        let expected = Some(self.sampled_indices().len());
        let frames = self.frames()?.map(|frame| frame.map(Frame::from).map_err(crate::Error::from));
        Ok(Clip::from_frames(frames, expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_fit_the_size() {
        assert!(Frame::new(0, 0.0, 2, 1, vec![0; 6]).is_ok());
        // The last's bytes are a multiple of 2^64 but for a few.
        for (width, height, bytes) in [(2, 1, 5), (0, 1, 0), (u32::MAX, u32::MAX, 3), (2_863_311_531, 2_147_483_648, 0)]
        {
            let error = Frame::new(0, 0.0, width, height, vec![0; bytes]).unwrap_err();
            assert!(matches!(error, crate::Error::Vision(crate::vision::Error::FrameSize { .. })), "{error}");
        }
    }
}
