//! The pictures of an animated PNG, put together.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use png::{BlendOp, DisposeOp, Transformations};

use super::canvas::{Blend, Canvas};
use crate::Limits;
use crate::crop::Area;
use crate::opening::open_file;

/// Decodes an animated PNG picture by picture onto its canvas.
pub(super) struct Apng {
    reader: png::Reader<BufReader<File>>,
    pub canvas: Canvas,
    /// A picture's own pixels.
    part: Vec<u8>,
    /// What is to be done with the canvas before the next picture.
    dispose: Dispose,
    /// Whether the file's first picture is no part of the animation.
    skips_first: bool,
}

enum Dispose {
    Nothing,
    Clear(Area),
    Restore(Vec<u8>),
}

impl Apng {
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, String> {
        let file = BufReader::new(open_file(path).map_err(text)?);
        let bytes = usize::try_from(limits.metadata_bytes).unwrap_or(usize::MAX);
        let mut decoder = png::Decoder::new_with_limits(file, png::Limits { bytes });
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
        let reader = decoder.read_info().map_err(text)?;
        let (canvas, part) = (Canvas::new(reader.info().size()), reader.output_buffer_size());
        let (canvas, part) = canvas.zip(part).ok_or("its canvas is too large")?;
        let skips_first = reader.info().frame_control.is_none();
        Ok(Self { reader, canvas, part: vec![0; part], dispose: Dispose::Nothing, skips_first })
    }

    /// Puts the next picture on the canvas.
    pub fn advance(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.skips_first) {
            self.reader.next_frame(&mut self.part).map_err(text)?;
        }
        let output = self.reader.next_frame(&mut self.part).map_err(text)?;
        match std::mem::replace(&mut self.dispose, Dispose::Nothing) {
            Dispose::Nothing => {}
            Dispose::Clear(area) => self.canvas.clear(area),
            Dispose::Restore(pixels) => self.canvas.pixels = pixels,
        }
        let control = self.reader.info().frame_control.ok_or("a picture has no place and time")?;
        let (left, top, width, height) = (control.x_offset, control.y_offset, output.width, output.height);
        let area = Area { left, top, width, height };
        self.dispose = match control.dispose_op {
            DisposeOp::None => Dispose::Nothing,
            DisposeOp::Background => Dispose::Clear(area),
            DisposeOp::Previous => Dispose::Restore(self.canvas.pixels.clone()),
        };
        let blend = if control.blend_op == BlendOp::Source { Blend::Replace } else { Blend::Png };
        self.canvas.put(area, &self.part, output.color_type.samples(), output.line_size, blend);
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
