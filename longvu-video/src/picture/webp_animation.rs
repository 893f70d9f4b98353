//! The pictures of an animated WebP, put together.
//!
//! The decoder takes single pictures, each made a file of its own: its own way to put them together computes colours that
//! are one level off.

use std::fs::File;
use std::io::Cursor;

use image_webp::WebPDecoder;

use super::canvas::{Blend, Canvas};
use super::walker::Walker;
use super::webp::{self, three};
use crate::crop::Area;

/// Flags of a picture.
const DISPOSE: u8 = 1;
const NO_BLEND: u8 = 2;

/// Decodes an animated WebP picture by picture onto its canvas.
pub(super) struct WebPAnimation {
    walker: Walker<File>,
    /// Where the file says it ends.
    end: u64,
    pub canvas: Canvas,
    /// What is cleared before the next picture.
    clear: Option<Area>,
}

impl WebPAnimation {
    /// `None` if the canvas is too large to be counted.
    pub fn new(mut walker: Walker<File>, size: (u32, u32)) -> Option<Self> {
        let end = webp::header(&mut walker)?;
        Some(Self { walker, end, canvas: Canvas::new(size)?, clear: None })
    }

    /// Puts the next picture on the canvas.
    pub fn advance(&mut self) -> Result<(), String> {
        let cut = || "the file ends within a picture".to_owned();
        let (header, data) = loop {
            let (kind, end, next) = webp::chunk(&mut self.walker, self.end).ok_or_else(cut)?;
            if &kind == b"ANMF" {
                let header: [u8; 16] = self.walker.bytes().ok_or_else(cut)?;
                let size = end.saturating_sub(self.walker.position());
                let data = self.walker.vec(size, size).ok_or_else(cut)?;
                // A padding byte may be missing at the very end.
                let _ = self.walker.skip_to(next);
                break (header, data);
            }
            self.walker.skip_to(next).ok_or_else(cut)?;
        };
        let [x0, x1, x2, y0, y1, y2, w0, w1, w2, h0, h1, h2, _, _, _, flags] = header;
        let area = Area {
            left: three([x0, x1, x2]) * 2,
            top: three([y0, y1, y2]) * 2,
            width: three([w0, w1, w2]) + 1,
            height: three([h0, h1, h2]) + 1,
        };
        let (width, height) = self.canvas.size();
        if area.left + area.width > width || area.top + area.height > height {
            return Err("a picture lies outside the canvas".to_owned());
        }
        let (pixels, channels) = decode(area, &data)?;
        if let Some(area) = self.clear.take() {
            self.canvas.clear(area);
        }
        let blend = if flags & NO_BLEND != 0 { Blend::Replace } else { Blend::WebP };
        self.canvas.put(area, &pixels, channels, area.width as usize * channels, blend);
        self.clear = (flags & DISPOSE != 0).then_some(area);
        Ok(())
    }
}

/// The pixels of one picture, and their channels.
fn decode(area: Area, data: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    if data.starts_with(b"ALPH") {
        // The extended header, with the flag for transparency.
        file.extend(b"VP8X\x0a\0\0\0\x10\0\0\0");
        for side in [area.width - 1, area.height - 1] {
            file.extend(side.to_le_bytes().iter().take(3));
        }
    }
    file.extend(data);
    let size = u32::try_from(file.len() - 8).map_err(|error| error.to_string())?;
    if let Some(place) = file.get_mut(4..8) {
        place.copy_from_slice(&size.to_le_bytes());
    }
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(|error| error.to_string())?;
    if decoder.is_animated() || decoder.dimensions() != (area.width, area.height) {
        return Err("a picture is not of the size that the file gives".to_owned());
    }
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("a picture is too large")?];
    decoder.read_image(&mut pixels).map_err(|error| error.to_string())?;
    Ok((pixels, if decoder.has_alpha() { 4 } else { 3 }))
}
