//! Decoded pictures to 8-bit RGB, as Pillow's `convert("RGB")` does it.

use image::DynamicImage;

/// RGB bytes `[height, width, 3]`. Transparency is dropped, and of 16 bits the upper 8 are kept.
pub(super) fn from_image(picture: DynamicImage) -> Vec<u8> {
    match picture {
        DynamicImage::ImageLuma8(gray) => spread(gray.as_raw(), 1),
        DynamicImage::ImageLumaA8(gray) => spread(gray.as_raw(), 2),
        DynamicImage::ImageRgba8(picture) => drop_alpha(picture.into_raw()),
        DynamicImage::ImageLuma16(gray) => spread(&upper(gray.as_raw(), 1, 1), 1),
        DynamicImage::ImageLumaA16(gray) => spread(&upper(gray.as_raw(), 2, 1), 1),
        DynamicImage::ImageRgb16(picture) => upper(picture.as_raw(), 3, 3),
        DynamicImage::ImageRgba16(picture) => upper(picture.as_raw(), 4, 3),
        other => other.into_rgb8().into_raw(),
    }
}

/// Takes the fourth byte of each pixel out, in place.
pub(super) fn drop_alpha(mut bytes: Vec<u8>) -> Vec<u8> {
    let pixels = bytes.len() / 4;
    for pixel in 1..pixels {
        bytes.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
    }
    bytes.truncate(pixels * 3);
    bytes
}

/// Repeats the first of every `channels` levels three times.
fn spread(levels: &[u8], channels: usize) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(levels.len() / channels * 3);
    rgb.extend(levels.iter().step_by(channels).flat_map(|level| [*level; 3]));
    rgb
}

/// The upper bytes of the first `keep` of every `channels` levels.
fn upper(levels: &[u16], channels: usize, keep: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(levels.len() / channels * keep);
    for pixel in levels.chunks_exact(channels) {
        bytes.extend(pixel.iter().take(keep).map(|level| (level >> 8) as u8));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, LumaA, Rgb, Rgba};

    #[test]
    fn channels_and_depths() {
        assert_eq!(drop_alpha(vec![1, 2, 3, 0, 4, 5, 6, 255]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(drop_alpha(Vec::new()), Vec::<u8>::new());
        let gray = ImageBuffer::from_pixel(2, 1, LumaA([0x12ff_u16, 7]));
        assert_eq!(from_image(DynamicImage::ImageLumaA16(gray)), [0x12; 6]);
        let deep = ImageBuffer::from_pixel(1, 1, Rgb([0x00ff_u16, 0x7f80, 0xffff]));
        assert_eq!(from_image(DynamicImage::ImageRgb16(deep)), [0, 0x7f, 0xff]);
        let deep = ImageBuffer::from_pixel(1, 1, Rgba([0x0100_u16, 0x0200, 0x0300, 0]));
        assert_eq!(from_image(DynamicImage::ImageRgba16(deep)), [1, 2, 3]);
        let gray = ImageBuffer::from_pixel(1, 2, LumaA([9_u8, 7]));
        assert_eq!(from_image(DynamicImage::ImageLumaA8(gray)), [9; 6]);
    }
}
