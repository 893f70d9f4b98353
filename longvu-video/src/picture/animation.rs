//! The pictures of an animated PNG or WebP, or a single picture, one after the other as a decoder of videos gives them.

use std::path::{Path, PathBuf};

use ffmpeg::frame;
use ffmpeg_next as ffmpeg;
use image::ImageFormat;

use super::apng::Apng;
use super::webp_animation::WebPAnimation;
use super::{Facts, still};
use crate::{Error, Limits, Result, Warning, ffi};

/// Decodes pictures in order; holds the canvas and the latest.
pub(crate) struct Pictures {
    source: Source,
    path: PathBuf,
    /// Pictures that the file has.
    count: usize,
    /// The latest picture, without a timestamp: none is lost on the way, so that their order places them.
    pub picture: frame::Video,
    /// Pictures that came out.
    pub decoded: usize,
    /// Pictures that could not be decoded.
    pub damaged: usize,
}

enum Source {
    Png(Box<Apng>),
    WebP(Box<WebPAnimation>),
    Still(Box<Facts>, Limits),
}

impl Pictures {
    pub fn open(path: &Path, facts: &Facts, limits: &Limits) -> Result<Self> {
        let source = match facts.format {
            ImageFormat::Png if facts.is_animated() => {
                Source::Png(Box::new(Apng::open(path, limits).map_err(|error| failed(path, error))?))
            }
            ImageFormat::WebP if facts.is_animated() => {
                let animation = WebPAnimation::new(super::open(path)?, facts.size);
                Source::WebP(Box::new(animation.ok_or_else(|| failed(path, "its canvas is too large"))?))
            }
            _ => Source::Still(Box::new(facts.clone()), *limits),
        };
        let count = facts.delays.len().max(1);
        Ok(Self { source, path: path.to_owned(), count, picture: frame::Video::empty(), decoded: 0, damaged: 0 })
    }

    /// Decodes the next picture into [`picture`](Self::picture); false at the end. A picture that cannot be decoded ends an
    /// animation, as later ones build on it; if it is the first, that is an error.
    pub fn advance(&mut self) -> Result<bool> {
        if self.decoded + self.damaged >= self.count {
            return Ok(false);
        }
        match self.decode() {
            Ok(()) => {
                self.decoded += 1;
                Ok(true)
            }
            Err(error) if self.decoded == 0 => Err(error),
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "a picture cannot be decoded");
                self.damaged = self.count - self.decoded;
                Ok(false)
            }
        }
    }

    fn decode(&mut self) -> Result<()> {
        let path = &self.path;
        let done = match &mut self.source {
            Source::Still(facts, limits) => {
                let (size, rgb) = still::read_first(path, facts, limits)?;
                fill(&mut self.picture, size, &rgb, 3)
            }
            Source::Png(animation) => {
                animation.advance().map_err(|error| failed(path, error))?;
                fill(&mut self.picture, animation.canvas.size(), &animation.canvas.pixels, 4)
            }
            Source::WebP(animation) => {
                animation.advance().map_err(|error| failed(path, error))?;
                fill(&mut self.picture, animation.canvas.size(), &animation.canvas.pixels, 4)
            }
        };
        done.ok_or_else(|| Error::Decode {
            path: path.clone(),
            frames: self.decoded,
            reason: "there is no memory for the picture".into(),
        })
    }
}

fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::Animation { path: path.to_owned(), reason: error.to_string() }
}

/// Copies pixels of three or four bytes into a picture, without the fourth.
fn fill(picture: &mut frame::Video, size: (u32, u32), pixels: &[u8], channels: usize) -> Option<()> {
    if (picture.width(), picture.height()) != size {
        *picture = ffi::rgb_buffer(size)?;
    }
    let (width, stride) = (usize::try_from(size.0).ok()?, picture.stride(0));
    for (row, from) in picture.data_mut(0).chunks_mut(stride).zip(pixels.chunks_exact(width * channels)) {
        for (to, from) in row.chunks_exact_mut(3).zip(from.chunks_exact(channels)) {
            to.copy_from_slice(from.get(..3)?);
        }
    }
    Some(())
}

/// Warnings that only decoding a still picture finds.
pub(crate) fn still_warnings(path: &Path, facts: &Facts, limits: &Limits) -> Result<Vec<Warning>> {
    let mut facts = facts.clone();
    still::check(path, &mut facts, limits)?;
    Ok(facts.warnings)
}
