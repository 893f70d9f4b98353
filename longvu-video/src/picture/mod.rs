//! Picture files: what they are, seen without decoding, and how they become RGB.

mod animation;
mod apng;
mod bmp;
mod canvas;
mod exif;
mod gif;
mod jpeg;
mod jpeg_bits;
mod jpeg_block;
mod jpeg_scan;
mod png;
mod rgb;
mod still;
mod walker;
mod webp;
mod webp_animation;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use image::ImageFormat;
use image::metadata::Orientation;

use crate::formats::{self, CONVERT};
use crate::opening::open_file;
use crate::{Error, Limits, Result, Warning};
use walker::Walker;

pub(crate) use animation::{Pictures, still_warnings};
pub(crate) use still::read_first;

/// Pictures shown for this long or less are shown for [`SHORT_DELAY_BECOMES`], as browsers do: files that give no time mean
/// "as fast as the screens of 1990 could".
const SHORT_DELAY: Duration = Duration::from_millis(10);
const SHORT_DELAY_BECOMES: Duration = Duration::from_millis(100);

/// Bytes that tell a format.
const HEAD: usize = 512;

/// What a look at a picture file found.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub format: ImageFormat,
    /// Stored width and height; zero if the file ends before it says.
    pub size: (u32, u32),
    /// How long each complete picture of an animation stays on screen; one entry or none for a still picture.
    pub delays: Vec<Duration>,
    pub orientation: Orientation,
    /// A WebP whose pictures, be it only one, are parts to be put on a canvas.
    pub has_canvas: bool,
    /// Motion JPEG without a container.
    pub is_stream: bool,
    pub warnings: Vec<Warning>,
}

impl Facts {
    fn new(format: ImageFormat) -> Self {
        Self {
            format,
            size: (0, 0),
            delays: Vec::new(),
            orientation: Orientation::NoTransforms,
            has_canvas: false,
            is_stream: false,
            warnings: Vec::new(),
        }
    }

    pub fn is_animated(&self) -> bool {
        self.delays.len() > 1
    }

    /// Whether FFmpeg is not needed: a still picture, or an animated PNG or WebP.
    pub fn has_own_decoder(&self) -> bool {
        let is_for_ffmpeg = self.is_stream || (self.is_animated() && self.format == ImageFormat::Gif);
        !is_for_ffmpeg
    }

    /// Names of container and codec, in FFmpeg's way.
    pub fn names(&self) -> (&'static str, &'static str) {
        match self.format {
            ImageFormat::Png if self.is_animated() => ("apng", "apng"),
            ImageFormat::Png => ("png_pipe", "png"),
            ImageFormat::Jpeg => ("jpeg_pipe", "mjpeg"),
            ImageFormat::WebP => ("webp_pipe", "webp"),
            ImageFormat::Gif => ("gif", "gif"),
            _ => ("bmp_pipe", "bmp"),
        }
    }

    /// A length of time that the file gives for a picture.
    fn add_delay(&mut self, delay: Duration) {
        self.delays.push(if delay <= SHORT_DELAY { SHORT_DELAY_BECOMES } else { delay });
    }

    /// A fault in the file.
    fn damaged(&mut self, reason: impl Into<String>) {
        self.warn(Warning::DamagedPicture { reason: reason.into() });
    }

    /// Adds a warning unless it is there.
    fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// What a walk through a file is given.
struct Context<'a> {
    path: &'a Path,
    limits: &'a Limits,
}

impl Context<'_> {
    fn check(&self, size: (u32, u32)) -> Result<()> {
        self.limits.check_picture(self.path, size)
    }

    fn refuse(&self, format: &'static str) -> Error {
        Error::UnsupportedFormat { path: self.path.to_owned(), format: format.to_owned(), advice: CONVERT }
    }
}

/// Looks at a file: `None` if it is no picture, for FFmpeg to try.
///
/// # Errors
///
/// A file that cannot be opened, a picture format that is not read, sizes over the limits.
pub(crate) fn look(path: &Path, limits: &Limits) -> Result<Option<Facts>> {
    let context = Context { path, limits };
    let mut walker = open(path)?;
    let head = walker.peek(HEAD);
    if let Some(format) = formats::refused_by_content(head) {
        return Err(Error::UnsupportedFormat {
            path: path.to_owned(),
            format: format.name.into(),
            advice: format.note,
        });
    }
    let facts = match head {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png::look(&mut walker, &context)?,
        [0xff, 0xd8, 0xff, ..] => jpeg::look(&mut walker, &context)?,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => gif::look(&mut walker, &context)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp::look(&mut walker, &context)?,
        [b'B', b'M', ..] if bmp::is_bmp(head) => bmp::look(&mut walker, &context)?,
        _ => return Ok(None),
    };
    if facts.is_animated() {
        limits.check_animation(path, facts.size, facts.delays.len())?;
    }
    Ok(Some(facts))
}

/// The picture format that a file's first bytes tell, whatever else is wrong with it.
pub(crate) fn format_of(path: &Path) -> Option<ImageFormat> {
    let mut walker = open(path).ok()?;
    let head = walker.peek(HEAD);
    let format = image::guess_format(head).ok()?;
    let known = matches!(
        format,
        ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP | ImageFormat::Bmp
    );
    (known && (format != ImageFormat::Bmp || bmp::is_bmp(head))).then_some(format)
}

fn open(path: &Path) -> Result<Walker<File>> {
    let file = open_file(path)?;
    let length = file.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })?.len();
    Ok(Walker::new(file, length))
}
