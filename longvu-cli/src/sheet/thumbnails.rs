//! Small pictures of frames, made as they pass by, for nothing decodes a long video twice.

use image::{ImageBuffer, ImageFormat, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use longvu::video::DecodedFrame;

/// Longer side of a picture, in pixels.
pub const SIDE: u32 = 104;

/// High, because what is seen of a picture this small should be the frame and not its compression.
const QUALITY: u8 = 92;

/// Small pictures of the sampled frames, in order: some 3 KB each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thumbnails(Vec<Thumbnail>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Thumbnail {
    size: (u32, u32),
    jpeg: Vec<u8>,
}

impl Thumbnails {
    /// Adds the picture of the next sampled frame; one that cannot be made stays away.
    pub fn push(&mut self, frame: &DecodedFrame) {
        self.0.push(Thumbnail::of(frame).unwrap_or_default());
    }

    /// Width and height of a sample's picture; nothing where there is none.
    pub fn size(&self, sample: usize) -> (u32, u32) {
        self.0.get(sample).map_or((0, 0), |thumbnail| thumbnail.size)
    }

    /// A sample's picture, if there is one.
    pub fn get(&self, sample: usize) -> Option<RgbImage> {
        let thumbnail = self.0.get(sample)?;
        image::load_from_memory_with_format(&thumbnail.jpeg, ImageFormat::Jpeg).ok().map(|image| image.to_rgb8())
    }
}

impl Thumbnail {
    fn of(frame: &DecodedFrame) -> Option<Self> {
        let whole = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(frame.width, frame.height, &frame.rgb)?;
        let size @ (width, height) = fitted(frame.width, frame.height);
        // Averages what it shrinks; small frames are made larger.
        let small = match width < frame.width || height < frame.height {
            true => imageops::thumbnail(&whole, width, height),
            false => imageops::resize(&whole, width, height, imageops::FilterType::Triangle),
        };
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&small).ok()?;
        Some(Self { size, jpeg })
    }
}

/// Width and height within a square of [`SIDE`].
fn fitted(width: u32, height: u32) -> (u32, u32) {
    let longer = u64::from(width.max(height).max(1));
    let side = |side: u32| (u64::from(side) * u64::from(SIDE) / longer).max(1) as u32;
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_fit_and_keep_their_colours() {
        let mut thumbnails = Thumbnails::default();
        for (width, height, fitted) in [(1920, 1080, (104, 58)), (20, 40, (52, 104)), (1, 4000, (1, 104))] {
            let rgb = [200, 20, 20].repeat(width as usize * height as usize);
            thumbnails.push(&DecodedFrame::from_rgb(width, height, rgb).unwrap());
            let sample = thumbnails.0.len() - 1;
            assert_eq!(thumbnails.size(sample), fitted);
            let picture = thumbnails.get(sample).unwrap();
            assert_eq!(picture.dimensions(), fitted);
            let near = |pixel: &Rgb<u8>| pixel.0.iter().zip([200, 20, 20]).all(|(&got, want)| got.abs_diff(want) < 8);
            assert!(picture.pixels().all(near), "{:?}", picture.get_pixel(0, 0));
            assert!(thumbnails.0[sample].jpeg.len() < 4096);
        }
        assert!(thumbnails.get(3).is_none());
    }
}
