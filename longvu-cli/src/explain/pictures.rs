//! Small pictures of the frames that are shown, as `data:` addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use longvu::{
    Frame, Sampling, Video, VideoOptions, VisualKind, open_image,
    video::{DecodedFrame, path_text},
};

use super::{choice, data::Run};
use crate::output;

/// Longer side of a picture, in pixels.
const SIDE: u32 = 144;

/// Bytes that a picture may have; with at most [`choice::STRIP`] pictures a run, a page's pictures stay below 3 MB.
const BYTES: usize = 9 << 10;

/// A frame in small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// `data:image/jpeg;base64,…`
    pub address: String,
}

/// Pictures by the frames' places in the file.
#[derive(Debug, Default)]
pub struct Pictures(BTreeMap<usize, Picture>);

impl Pictures {
    /// The picture of the frame at `index` of the file.
    pub fn get(&self, index: usize) -> Option<&Picture> {
        self.0.get(&index)
    }

    /// All of them, by index.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Picture)> {
        self.0.iter().map(|(&index, picture)| (index, picture))
    }

    /// Decodes the frames that are shown of a run once more, one at a time, as far as they are not here yet. A frame that
    /// cannot be had again goes without a picture, with a warning where that is a surprise: an encoded video has none.
    pub fn add(&mut self, file: &Path, options: &VideoOptions, run: &Run) {
        let Some(visual) = run.visual().filter(|_| run.timings.encode.wall > 0.0) else { return };
        let shown = choice::strip(visual);
        let wanted = shown.iter().map(|frame| frame.info).filter(|info| !self.0.contains_key(&info.index));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        let added = match visual.kind {
            VisualKind::Image => self.add_image(file),
            VisualKind::Video => {
                let times = wanted.iter().map(|info| info.timestamp).collect();
                let indices = wanted.iter().map(|info| info.index).collect();
                self.add_frames(file, options, times, &indices)
            }
        };
        let missing = wanted.iter().filter(|info| !self.0.contains_key(&info.index)).count();
        if let Err(error) = added {
            output::warning(&format!("{}: {missing} frames have no picture: {error:#}", path_text(file)));
        } else if missing > 0 {
            output::warning(&format!("{}: {missing} frames could not be decoded again for a picture", path_text(file)));
        }
    }

    fn add_image(&mut self, file: &Path) -> Result<()> {
        self.0.insert(0, picture(open_image(file)?.frame)?);
        Ok(())
    }

    fn add_frames(
        &mut self,
        file: &Path,
        options: &VideoOptions,
        times: Vec<f64>,
        indices: &BTreeSet<usize>,
    ) -> Result<()> {
        let mut options = options.clone().with_sampling(Sampling::Timestamps(times));
        (options.start, options.end, options.max_frames) = (None, None, None);
        for frame in Video::open_with(file, options)?.frames()? {
            let frame = frame?;
            if indices.contains(&frame.index) {
                self.0.insert(frame.index, picture(frame)?);
            }
        }
        Ok(())
    }
}

fn picture(frame: DecodedFrame) -> Result<Picture> {
    let Frame { width, height, rgb, .. } = frame.into();
    let whole = RgbImage::from_raw(width, height, rgb).context("a frame of another size than it says")?;
    let longer = width.max(height).max(1);
    for (side, quality) in [(SIDE, 72), (SIDE, 40), (SIDE / 2, 40), (SIDE / 4, 25)] {
        let shrunk = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longer)).max(1) as u32;
        // Frames that are small as they are stay so.
        let (width, height) = if longer <= side { (width, height) } else { (shrunk(width), shrunk(height)) };
        let small = imageops::thumbnail(&whole, width, height);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(&small)?;
        if jpeg.len() <= BYTES {
            let address = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg));
            return Ok(Picture { width, height, address });
        }
    }
    anyhow::bail!("a picture that does not get small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_small_whatever_is_on_them() {
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 11) as u8;
        for (width, height) in [(1920, 1080), (3, 2), (1, 4000), (144, 144)] {
            let rgb = (0..width * height * 3).map(noise).collect();
            let made = picture(DecodedFrame::from_rgb(width, height, rgb).unwrap()).unwrap();
            assert!(made.address.len() <= BYTES * 4 / 3 + 40, "{}", made.address.len());
            assert!(made.width <= SIDE && made.height <= SIDE && made.width > 0 && made.height > 0);
        }
    }
}
