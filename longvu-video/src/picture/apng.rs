//! The canvas of an animated PNG.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use png::{BlendOp, DisposeOp, FrameControl, Transformations};

use crate::Limits;

/// Decodes an animated PNG picture by picture onto its canvas.
pub(super) struct Apng {
    reader: png::Reader<BufReader<File>>,
    /// RGBA, `[height, width, 4]`.
    canvas: Vec<u8>,
    size: (u32, u32),
    /// A picture's own pixels.
    part: Vec<u8>,
    /// The picture on the canvas, and the canvas before it where that must come back.
    shown: Option<(FrameControl, Option<Vec<u8>>)>,
    /// Whether the file's first picture is no part of the animation.
    skips_first: bool,
}

impl Apng {
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, String> {
        let file = BufReader::new(File::open(path).map_err(text)?);
        let bytes = usize::try_from(limits.metadata_bytes).unwrap_or(usize::MAX);
        let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let reader = decoder.read_info().map_err(text)?;
        let size = reader.info().size();
        let area = (size.0 as usize).checked_mul(size.1 as usize).and_then(|area| area.checked_mul(4));
        let (Some(area), Some(part)) = (area, reader.output_buffer_size()) else {
            return Err("its canvas is too large".to_owned());
        };
        let skips_first = reader.info().frame_control.is_none();
        Ok(Self { reader, canvas: vec![0; area], size, part: vec![0; part], shown: None, skips_first })
    }

    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The canvas with the next picture on it.
    pub fn next_picture(&mut self) -> Result<&[u8], String> {
        if std::mem::take(&mut self.skips_first) {
            self.reader.next_frame(&mut self.part).map_err(text)?;
        }
        let output = self.reader.next_frame(&mut self.part).map_err(text)?;
        self.dispose();
        let control = self.reader.info().frame_control.ok_or("a picture has no place and time")?;
        let before = (control.dispose_op == DisposeOp::Previous).then(|| self.canvas.clone());
        let channels = output.color_type.samples();
        let (stride, left) = (self.size.0 as usize * 4, control.x_offset as usize * 4);
        let rows = self.canvas.chunks_exact_mut(stride.max(1)).skip(control.y_offset as usize);
        for (row, from) in rows.zip(self.part.chunks(output.line_size)).take(output.height as usize) {
            let row = row.get_mut(left..).unwrap_or_default();
            for (to, from) in row.chunks_exact_mut(4).zip(from.chunks_exact(channels)).take(output.width as usize) {
                put(to, rgba(from), control.blend_op);
            }
        }
        self.shown = Some((control, before));
        Ok(&self.canvas)
    }

    /// Does to the canvas what the picture on it asks for when its time is over.
    fn dispose(&mut self) {
        let Some((control, before)) = self.shown.take() else { return };
        if let Some(before) = before {
            self.canvas = before;
        } else if control.dispose_op == DisposeOp::Background {
            let (stride, left) = (self.size.0 as usize * 4, control.x_offset as usize * 4);
            let rows = self.canvas.chunks_exact_mut(stride.max(1)).skip(control.y_offset as usize);
            for row in rows.take(control.height as usize) {
                let end = (left + control.width as usize * 4).min(row.len());
                row.get_mut(left..end).unwrap_or_default().fill(0);
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A pixel of one to four levels as RGBA.
fn rgba(pixel: &[u8]) -> [u8; 4] {
    match *pixel {
        [gray] => [gray, gray, gray, 255],
        [gray, alpha] => [gray, gray, gray, alpha],
        [red, green, blue] => [red, green, blue, 255],
        [red, green, blue, alpha] => [red, green, blue, alpha],
        _ => [0; 4],
    }
}

/// Puts a pixel in another's place or over it.
fn put(below: &mut [u8], above: [u8; 4], how: BlendOp) {
    let [.., alpha] = above;
    let [red, green, blue, under] = below else { return };
    if how == BlendOp::Source || alpha == 255 || (alpha > 0 && *under == 0) {
        below.copy_from_slice(&above);
        return;
    }
    if alpha == 0 {
        return;
    }
    // Both weights in 255ths of 255ths.
    let (over, rest) = (u32::from(alpha) * 255, u32::from(*under) * (255 - u32::from(alpha)));
    let whole = over + rest;
    for (level, new) in [red, green, blue].into_iter().zip(above) {
        *level = ((u32::from(new) * over + u32::from(*level) * rest + whole / 2) / whole) as u8;
    }
    *under = ((whole + 127) / 255) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blended(below: [u8; 4], above: [u8; 4]) -> [u8; 4] {
        let mut pixel = below;
        put(&mut pixel, above, BlendOp::Over);
        pixel
    }

    #[test]
    fn blending() {
        assert_eq!(blended([10, 20, 30, 255], [200, 100, 0, 128]), [105, 60, 15, 255]);
        assert_eq!(blended([10, 20, 30, 255], [200, 100, 0, 0]), [10, 20, 30, 255]);
        assert_eq!(blended([10, 20, 30, 0], [200, 100, 0, 7]), [200, 100, 0, 7]);
        let half = blended([0, 0, 0, 128], [255, 255, 255, 128]);
        assert_eq!(half, [170, 170, 170, 192]);
        let mut pixel = [1, 2, 3, 4];
        put(&mut pixel, [9, 8, 7, 0], BlendOp::Source);
        assert_eq!(pixel, [9, 8, 7, 0]);
    }
}
