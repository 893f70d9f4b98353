//! The first picture of a file as RGB.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat};

use super::webp_animation::WebPAnimation;
use super::{Facts, jpeg_scan, rgb};
use crate::opening::open_file;
use crate::{Error, Limits, Result};

/// Memory that a decoder may take beside the picture, in bytes a pixel; more than any of them uses.
const BYTES_A_PIXEL: u64 = 16;

/// Decodes the first picture as it is stored: width, height and RGB bytes `[height, width, 3]`. Faults that the decoder would
/// pass over are added to the warnings of `facts`.
pub(crate) fn read_first(path: &Path, facts: &mut Facts, limits: &Limits) -> Result<((u32, u32), Vec<u8>)> {
    if facts.has_canvas {
        let failed = |reason: String| Error::Animation { path: path.to_owned(), reason };
        let animation = WebPAnimation::new(super::open(path)?, facts.size);
        let mut animation = animation.ok_or_else(|| failed("its canvas is too large".to_owned()))?;
        animation.advance().map_err(failed)?;
        return Ok((animation.canvas.size(), rgb::drop_alpha(animation.canvas.pixels)));
    }
    let failed = |source| Error::Image { path: path.to_owned(), source };
    let file = BufReader::new(open_file(path)?);
    let picture = match facts.format {
        ImageFormat::Jpeg => {
            let data = read_all(path, file, limits)?;
            if let Some(fault) = jpeg_scan::find_fault(&data) {
                facts.warn(fault.warning());
            }
            JpegDecoder::new(Cursor::new(data)).and_then(|decoder| decode(decoder, facts, limits))
        }
        ImageFormat::Png => {
            PngDecoder::with_limits(file, metadata(facts, limits)).and_then(|decoder| decode(decoder, facts, limits))
        }
        ImageFormat::WebP => WebPDecoder::new(file).and_then(|decoder| decode(decoder, facts, limits)),
        ImageFormat::Gif => GifDecoder::new(file).and_then(|decoder| decode(decoder, facts, limits)),
        _ => BmpDecoder::new(file).and_then(|decoder| decode(decoder, facts, limits)),
    };
    let picture = picture.map_err(failed)?;
    let size = (picture.width(), picture.height());
    Ok((size, rgb::from_image(picture)))
}

/// Adds faults that a decoder would pass over to the warnings of `facts`, without decoding.
pub(super) fn check(path: &Path, facts: &mut Facts, limits: &Limits) -> Result<()> {
    if facts.format == ImageFormat::Jpeg
        && let Some(fault) = jpeg_scan::find_fault(&read_all(path, BufReader::new(open_file(path)?), limits)?)
    {
        facts.warn(fault.warning());
    }
    Ok(())
}

/// The limits of a PNG decoder for what is no picture: a row or two, and the chunks that it keeps.
pub(super) fn metadata(facts: &Facts, limits: &Limits) -> image::Limits {
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.metadata_bytes.saturating_add(u64::from(facts.size.0) * BYTES_A_PIXEL));
    allowed
}

/// The limits of a decoder for the picture, should its own idea of the size be another than that of `facts`.
pub(super) fn picture(facts: &Facts, limits: &Limits) -> image::Limits {
    let mut allowed = image::Limits::no_limits();
    let pixels = u64::from(facts.size.0) * u64::from(facts.size.1);
    allowed.max_alloc = Some(limits.metadata_bytes.saturating_add(pixels.saturating_mul(BYTES_A_PIXEL)));
    (allowed.max_image_width, allowed.max_image_height) = (Some(facts.size.0), Some(facts.size.1));
    allowed
}

fn decode(mut decoder: impl ImageDecoder, facts: &Facts, limits: &Limits) -> Result<DynamicImage, ImageError> {
    decoder.set_limits(picture(facts, limits))?;
    DynamicImage::from_decoder(decoder)
}

fn read_all(path: &Path, file: BufReader<File>, limits: &Limits) -> Result<Vec<u8>> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let length = file.get_ref().metadata().map_err(io)?.len();
    if length > limits.jpeg_bytes {
        let limit = limits.jpeg_bytes;
        return Err(Error::FileTooLarge { path: path.to_owned(), bytes: length, limit });
    }
    let mut data = Vec::new();
    file.take(limits.jpeg_bytes).read_to_end(&mut data).map_err(io)?;
    Ok(data)
}
