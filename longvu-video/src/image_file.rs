//! Image files as single frames.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::demuxer::open_file;
use crate::{Error, Frame, MAX_PIXELS, Result};

/// Reads an image file (PNG, JPEG, WebP, GIF or BMP, told by its content) as a frame with index and time 0.
///
/// The picture is turned upright as its EXIF orientation says. Transparency is dropped, as Pillow's `convert("RGB")` does;
/// of an animation the first picture is taken.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::NotAFile`], [`Error::EmptyFile`] or [`Error::Io`] if there is nothing to read;
/// [`Error::Image`] if it is no image or a damaged one; [`Error::TooLarge`] over [`MAX_PIXELS`].
pub fn open_image(path: impl AsRef<Path>) -> Result<Frame> {
    let path = path.as_ref();
    let failed = |source| Error::Image { path: path.to_owned(), source };
    let reader = ImageReader::new(BufReader::new(open_file(path)?));
    let mut reader = reader.with_guessed_format().map_err(|source| Error::Io { path: path.to_owned(), source })?;
    // Our own limit on the size below takes the place of the crate's limit on memory.
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Error::TooLarge { path: path.to_owned(), width, height });
    }
    // Broken EXIF data should not hide a good picture.
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    let picture = picture.into_rgb8();
    let (width, height) = picture.dimensions();
    Frame::from_rgb(width, height, picture.into_raw())
}

/// Whether [`open_image`] rather than [`Video::open`](crate::Video::open) is the way to read this file.
///
/// Told by the content; by the extension if the file cannot be read. A GIF with more than one picture counts as a video.
pub fn is_image(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    let Ok(file) = open_file(path) else {
        return ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled());
    };
    let Ok(reader) = ImageReader::new(BufReader::new(file)).with_guessed_format() else {
        return false;
    };
    match reader.format() {
        Some(ImageFormat::Gif) => !is_animated(reader.into_inner()),
        Some(format) => format.reading_enabled(),
        None => false,
    }
}

fn is_animated(mut file: BufReader<File>) -> bool {
    file.rewind().is_ok()
        && GifDecoder::new(file)
            .is_ok_and(|decoder| decoder.into_frames().take(2).filter(std::result::Result::is_ok).count() > 1)
}
