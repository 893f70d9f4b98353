//! Small pictures of the frames that a model is shown, made while they pass by.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use image::{DynamicImage, ExtendedColorType, RgbImage, codecs::jpeg::JpegEncoder};
use longvu::Frame;

use crate::encodings::pictures::Pictures;

/// The longer side of a picture, in pixels; smaller frames stay as they are.
const SIDE: u32 = 160;

/// JPEG's quality, of 100: some kilobytes a picture.
const QUALITY: u8 = 75;

/// The pictures that an iterator of frames leaves behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shots(Arc<Mutex<Vec<Bytes>>>);

/// Frames that pass by, each of which leaves a picture.
///
/// Pictures are made on the thread that takes the frames, which is the one that decodes.
#[derive(Debug)]
pub(crate) struct Shown<I> {
    frames: I,
    shots: Shots,
}

impl Shots {
    /// `frames` as they are, and where their pictures will be: in order, one for each.
    pub fn of<I: Iterator<Item = longvu::Result<Frame>>>(frames: I) -> (Shown<I>, Self) {
        let shots = Self::default();
        (Shown { frames, shots: shots.clone() }, shots)
    }

    /// The pictures of the frames that have passed.
    pub fn pictures(&self) -> Pictures {
        Pictures::held(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn take(&self, frame: &mut Frame) {
        // A frame without a picture is a gap on a page, and no reason not to look at the video.
        let picture = small(frame).unwrap_or_else(|error| {
            tracing::warn!(%error, "no picture could be made of a frame");
            Bytes::new()
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(picture);
    }
}

impl<I: Iterator<Item = longvu::Result<Frame>>> Iterator for Shown<I> {
    type Item = longvu::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut frame = self.frames.next()?;
        if let Ok(frame) = &mut frame {
            self.shots.take(frame);
        }
        Some(frame)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.frames.size_hint()
    }
}

/// A frame as a small JPEG.
fn small(frame: &mut Frame) -> io::Result<Bytes> {
    let (width, height) = (frame.width, frame.height);
    if width.max(height) <= SIDE {
        return jpeg(&frame.rgb, width, height);
    }
    // The pixels are lent, not copied.
    let pixels = RgbImage::from_raw(width, height, std::mem::take(&mut frame.rgb));
    let whole = DynamicImage::ImageRgb8(pixels.ok_or_else(|| io::Error::other("its pixels do not fill its sides"))?);
    let picture = whole.thumbnail(SIDE, SIDE).into_rgb8();
    frame.rgb = whole.into_rgb8().into_raw();
    jpeg(picture.as_raw(), picture.width(), picture.height())
}

fn jpeg(rgb: &[u8], width: u32, height: u32) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    let encoder = &mut JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    encoder.encode(rgb, width, height, ExtendedColorType::Rgb8).map_err(io::Error::other)?;
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(index: usize, width: u32, height: u32, colour: [u8; 3]) -> Frame {
        let rgb = colour.repeat((width * height) as usize);
        Frame::new(index, index as f64, width, height, rgb).unwrap()
    }

    #[test]
    fn frames_pass_unchanged_and_leave_their_pictures() {
        let given =
            vec![frame(0, 640, 360, [200, 30, 30]), frame(1, 90, 120, [10, 200, 10]), frame(2, 3000, 2, [0; 3])];
        let (shown, shots) = Shots::of(given.clone().into_iter().map(Ok));
        assert_eq!(shown.size_hint(), (3, Some(3)));
        assert_eq!(shown.map(Result::unwrap).collect::<Vec<_>>(), given);
        let pictures = shots.pictures();
        assert_eq!(pictures.count(), 3);
        for (sample, size, colour) in
            [(0, (160, 90), [200, 30, 30]), (1, (90, 120), [10, 200, 10]), (2, (160, 1), [0; 3])]
        {
            let bytes = pictures.get(sample).unwrap();
            let image = image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg).unwrap().into_rgb8();
            assert_eq!(image.dimensions(), size);
            let found = image.get_pixel(size.0 / 2, size.1 / 2).0;
            assert!(found.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) < 8), "{found:?}");
        }
        assert!(pictures.memory() < 3 * 4096 && pictures.get(3).is_none());
    }

    #[test]
    fn errors_pass_and_leave_no_picture() {
        let frames = [Ok(frame(0, 4, 4, [1, 2, 3])), Err(longvu::Error::NoFrames)];
        let (shown, shots) = Shots::of(frames.into_iter());
        assert_eq!(shown.filter(Result::is_err).count(), 1);
        assert_eq!(shots.pictures().count(), 1);
    }

    #[test]
    fn busy_frames_take_some_kilobytes() {
        let mut state = 1u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let mut frame = Frame::new(0, 0.0, 160, 160, noise.take(160 * 160 * 3).collect()).unwrap();
        let bytes = small(&mut frame).unwrap().len();
        assert!((8 << 10..32 << 10).contains(&bytes), "{bytes}");
    }
}
