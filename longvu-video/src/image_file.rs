//! Image files as single frames.

use std::path::Path;

use image::ImageFormat;
use image::metadata::Orientation;

use crate::opening::open_file;
use crate::{DecodedFrame, Error, Limits, Result, Warning, formats, orientation, picture};

/// A picture from an image file, and what its user should know about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Image {
    /// The picture, with index and time 0.
    pub frame: DecodedFrame,
    /// What is wrong with the file, though the picture could be read.
    pub warnings: Vec<Warning>,
}

impl From<Image> for DecodedFrame {
    fn from(image: Image) -> Self {
        image.frame
    }
}

/// Settings for [`open_image_with`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageOptions {
    /// Turn the picture upright as its EXIF data say. Default: yes.
    pub autorotate: bool,
    /// What is too large. Default: [`Limits::default`].
    pub limits: Limits,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self { autorotate: true, limits: Limits::default() }
    }
}

impl ImageOptions {
    /// Sets [`autorotate`](Self::autorotate).
    #[must_use]
    pub fn with_autorotate(mut self, autorotate: bool) -> Self {
        self.autorotate = autorotate;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Reads an image file (PNG, JPEG, WebP, GIF or BMP, told by its content) as a frame with index and time 0.
///
/// As [`open_image_with`], with the default settings.
///
/// # Errors
///
/// As [`open_image_with`].
pub fn open_image(path: impl AsRef<Path>) -> Result<Image> {
    open_image_with(path, &ImageOptions::default())
}

/// Reads an image file with settings of one's own.
///
/// The picture is turned upright as its EXIF orientation says. Levels are those of Pillow's `convert("RGB")`: transparency is
/// dropped and of 16 bits the upper 8 are kept, with the exception that 16-bit grey, which Pillow cuts at 255, is scaled too.
/// Of an animation the first picture is taken, with a warning; use [`Video`](crate::Video) for all of them. Of several JPEGs
/// in a file the first is taken: silently if it says that it is the main one (MPO, gain maps), else with a warning.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::NotAFile`], [`Error::EmptyFile`] or [`Error::Io`] if there is nothing to read;
/// [`Error::UnsupportedFormat`] for a known format that is not read; [`Error::Image`] if it is no image or a damaged one;
/// [`Error::TooLarge`], [`Error::SideTooLong`], [`Error::AnimationTooLarge`] or [`Error::FileTooLarge`] over the limits.
pub fn open_image_with(path: impl AsRef<Path>, options: &ImageOptions) -> Result<Image> {
    let path = path.as_ref();
    let Some(mut facts) = picture::look(path, &options.limits)? else {
        return Err(not_an_image(path));
    };
    if facts.is_animated() {
        facts.warnings.push(Warning::FirstOfMany { pictures: facts.delays.len() });
    } else if facts.is_stream {
        facts.warnings.push(Warning::MorePictures);
    }
    let (size, rgb) = picture::read_first(path, &mut facts, &options.limits)?;
    let turn = if options.autorotate { facts.orientation } else { Orientation::NoTransforms };
    let (width, height) = orientation::turned_size(turn, size);
    let wrong_length = Error::FrameSize { width, height, expected: 0, got: 0 };
    let rgb = orientation::turn(turn, size, rgb).ok_or(wrong_length)?;
    for warning in &facts.warnings {
        tracing::warn!(path = %path.display(), "{warning}");
    }
    Ok(Image { frame: DecodedFrame::from_rgb(width, height, rgb)?, warnings: facts.warnings })
}

/// What to say of a file that is none of the images, in the words of the `image` crate unless its name tells more.
fn not_an_image(path: &Path) -> Error {
    if let Some(format) = formats::refused_by_extension(path) {
        return Error::UnsupportedFormat { path: path.to_owned(), format: format.name.into(), advice: format.note };
    }
    let unknown = image::error::ImageFormatHint::Unknown;
    let source = image::ImageError::Unsupported(unknown.into());
    Error::Image { path: path.to_owned(), source }
}

/// Whether [`open_image`] rather than [`Video::open`](crate::Video::open) is the way to read this file.
///
/// Told by the content; by the extension if the file cannot be read. A GIF, PNG or WebP with more than one picture counts as
/// a video, as do several JPEGs of one size in a row.
pub fn is_image(path: impl AsRef<Path>) -> bool {
    let path = path.as_ref();
    if open_file(path).is_err() {
        return ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled());
    }
    match picture::look(path, &Limits::default()) {
        Ok(facts) => facts.is_some_and(|facts| !facts.is_animated() && !facts.is_stream),
        // The error will be told by the call that reads it.
        Err(_) => picture::format_of(path).is_some(),
    }
}
