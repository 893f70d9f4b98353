//! The sheet's layout, drawn and written as PNG in strips.

use std::io::Write;

use anyhow::{Context, Result};
use image::{Rgb, RgbImage, imageops};
use longvu::{FrameFate, FrameUse};

use super::{
    Thumbnails,
    letters::{self, LETTER, fill},
    thumbnails::SIDE,
};

/// What the prompt has of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing, whichever of the stages dropped it.
    Dropped,
    /// A few tokens.
    Low(usize),
    /// All tokens of a frame, or those that the spatial stage left.
    Full(usize),
}

/// A sampled frame on the sheet.
pub struct Cell<'a> {
    pub sample: usize,
    /// Seconds from the start of the video.
    pub timestamp: f64,
    pub fate: Fate,
    pub thumbnails: &'a Thumbnails,
}

const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const INK: Rgb<u8> = Rgb([30, 30, 30]);
const GREY: Rgb<u8> = Rgb([165, 165, 165]);
const AMBER: Rgb<u8> = Rgb([235, 150, 0]);
const GREEN: Rgb<u8> = Rgb([0, 140, 70]);

const FRAME: u32 = 4;
const GAP: u32 = 10;
/// Height of a line of the head, whose letters are twice as large as those of captions.
const LINE: u32 = 2 * LETTER + 6;
/// Pictures in a row: at least, and at most. Between them a sheet is about as wide as it is high.
const COLUMNS: (u32, u32) = (12, 80);
/// Characters that a line of the head has room for, however few pictures there are.
const HEAD: u32 = 60;

impl<'a> Cell<'a> {
    pub fn new(frame: &FrameUse, thumbnails: &'a Thumbnails) -> Self {
        let fate = match frame.fate {
            FrameFate::Full => Fate::Full(frame.tokens),
            FrameFate::Low => Fate::Low(frame.tokens),
            _ => Fate::Dropped,
        };
        Self { sample: frame.info.sample, timestamp: frame.info.timestamp, fate, thumbnails }
    }

    /// Time, fate and tokens, for those who cannot tell the colours apart.
    fn caption(&self) -> String {
        let seconds = self.timestamp.round().max(0.0) as u64;
        format!("{}:{:02} {}", seconds / 60, seconds % 60, self.fate.caption())
    }
}

impl Fate {
    fn colour(self) -> Rgb<u8> {
        match self {
            Self::Dropped => GREY,
            Self::Low(_) => AMBER,
            Self::Full(_) => GREEN,
        }
    }

    fn caption(self) -> String {
        match self {
            Self::Dropped => "dropped".into(),
            Self::Low(tokens) => format!("low {tokens}"),
            Self::Full(tokens) => format!("full {tokens}"),
        }
    }
}

/// Where everything is, in pixels.
struct Layout {
    columns: u32,
    /// Height of the highest picture.
    picture: u32,
    width: u32,
}

impl Layout {
    fn new(cells: &[Cell<'_>]) -> Self {
        let count = cells.len() as u32;
        let square = f64::from(count).sqrt().ceil() as u32;
        let columns = square.clamp(COLUMNS.0, COLUMNS.1).min(count.max(1));
        let picture = cells.iter().map(|cell| cell.thumbnails.size(cell.sample).1).max().unwrap_or(0);
        Self { columns, picture, width: GAP + (columns * Self::STEP).max(HEAD * 2 * LETTER + GAP) }
    }

    const STEP: u32 = SIDE + 2 * FRAME + GAP;

    fn row_height(&self) -> u32 {
        self.picture + 2 * FRAME + LETTER + GAP + 6
    }

    fn strip(&self, height: u32) -> RgbImage {
        RgbImage::from_pixel(self.width, height, PAPER)
    }

    /// Some lines of text and the legend.
    fn head(&self, title: &[String]) -> RgbImage {
        let room = ((self.width - 2 * GAP) / (2 * LETTER)) as usize;
        let lines: Vec<String> = title.iter().flat_map(|text| letters::wrapped(text, room)).collect();
        let mut strip = self.strip(2 * GAP + (lines.len() as u32 + 1) * LINE);
        let mut y = GAP;
        for line in &lines {
            letters::write(&mut strip, line, (GAP, y), 2, INK);
            y += LINE;
        }
        let mut x = GAP;
        for (fate, text) in
            [(Fate::Full(0), "full resolution"), (Fate::Low(0), "low resolution"), (Fate::Dropped, "dropped")]
        {
            fill(&mut strip, (x, y), (2 * LETTER, 2 * LETTER), fate.colour());
            letters::write(&mut strip, text, (x + 3 * LETTER, y), 2, INK);
            x += 3 * LETTER + (text.len() as u32 + 1) * 2 * LETTER;
        }
        strip
    }

    /// A row of pictures.
    fn row(&self, cells: &[Cell<'_>]) -> RgbImage {
        let mut strip = self.strip(self.row_height());
        for (column, cell) in (0u32..).zip(cells) {
            self.put(&mut strip, cell, GAP + column * Self::STEP);
        }
        strip
    }

    fn put(&self, strip: &mut RgbImage, cell: &Cell<'_>, x: u32) {
        if let Some(picture) = cell.thumbnails.get(cell.sample) {
            let picture = as_seen(picture, cell.fate);
            let (width, height) = picture.dimensions();
            let (left, top) = (x + (SIDE - width.min(SIDE)) / 2, (self.picture - height.min(self.picture)) / 2);
            fill(strip, (left, top), (width + 2 * FRAME, height + 2 * FRAME), cell.fate.colour());
            imageops::overlay(strip, &picture, i64::from(left + FRAME), i64::from(top + FRAME));
        }
        letters::write(strip, &cell.caption(), (x + FRAME, self.picture + 2 * FRAME + 3), 1, INK);
    }
}

/// A picture as far as the prompt has it.
fn as_seen(mut picture: RgbImage, fate: Fate) -> RgbImage {
    match fate {
        Fate::Full(_) => picture,
        // Coarse, as the model gets it, but not so coarse that a person could not tell what it was.
        Fate::Low(_) => {
            let (width, height) = picture.dimensions();
            let (columns, rows) = ((width / 8).max(1), (height / 8).max(1));
            let coarse = imageops::resize(&picture, columns, rows, imageops::FilterType::Triangle);
            imageops::resize(&coarse, width, height, imageops::FilterType::Nearest)
        }
        Fate::Dropped => {
            picture.pixels_mut().for_each(fade);
            picture
        }
    }
}

/// Towards the paper, and without colour.
fn fade(pixel: &mut Rgb<u8>) {
    let [red, green, blue] = pixel.0.map(u32::from);
    let light = (red * 3 + green * 6 + blue) / 10;
    *pixel = Rgb([(light / 3 + 160).min(255) as u8; 3]);
}

/// Draws the sheet under some lines of text, and writes it as PNG.
///
/// # Errors
/// Those of `out`, and a sheet of more pixels than PNG has.
pub fn write(out: &mut dyn Write, title: &[String], cells: &[Cell<'_>]) -> Result<()> {
    let layout = Layout::new(cells);
    let head = layout.head(title);
    let rows = (cells.len() as u32).div_ceil(layout.columns);
    let height = rows.checked_mul(layout.row_height()).and_then(|rows| rows.checked_add(head.height() + GAP));
    let height = height.context("a sheet of so many frames has more pixels than PNG knows; sample fewer")?;
    let mut encoder = png::Encoder::new(out, layout.width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut file = encoder.write_header()?;
    let mut writer = file.stream_writer()?;
    writer.write_all(&head)?;
    for row in cells.chunks(layout.columns as usize) {
        writer.write_all(&layout.row(row))?;
    }
    writer.write_all(&layout.strip(GAP))?;
    writer.finish()?;
    Ok(file.finish()?)
}

#[cfg(test)]
mod tests {
    use longvu::video::DecodedFrame;

    use super::*;

    const RED: [u8; 3] = [200, 20, 20];

    fn drawn(title: &[String], thumbnails: &Thumbnails, fates: impl Iterator<Item = Fate>) -> RgbImage {
        let cell = |(sample, fate)| Cell { sample, timestamp: 61.0, fate, thumbnails };
        let cells: Vec<Cell<'_>> = fates.enumerate().map(cell).collect();
        let mut png = Vec::new();
        write(&mut png, title, &cells).unwrap();
        image::load_from_memory(&png).unwrap().to_rgb8()
    }

    #[test]
    fn every_frame_has_its_place_and_colour() {
        let mut thumbnails = Thumbnails::default();
        for _ in 0..14 {
            thumbnails.push(&DecodedFrame::from_rgb(64, 36, RED.repeat(64 * 36)).unwrap());
        }
        let fates = [Fate::Dropped, Fate::Low(4), Fate::Full(20)].into_iter().cycle().take(14);
        let sheet = drawn(&["A question?".into()], &thumbnails, fates);
        for colour in [GREY, AMBER, GREEN, INK, PAPER] {
            assert!(sheet.pixels().any(|pixel| *pixel == colour), "{colour:?}");
        }
        // Pictures keep their colour, dropped ones lose it: 14 less 5 are as they were.
        let near = |pixel: &&Rgb<u8>| pixel.0.iter().zip(RED).all(|(&got, want)| got.abs_diff(want) < 8);
        assert_eq!(sheet.pixels().filter(near).count(), 9 * 104 * 58);
    }

    #[test]
    fn long_videos_make_wide_sheets_and_long_texts_more_lines() {
        let none = Thumbnails::default();
        let sheet = drawn(&[], &none, std::iter::repeat_n(Fate::Dropped, 3600));
        assert_eq!(sheet.width(), GAP + 60 * Layout::STEP);
        assert_eq!(sheet.height(), 2 * GAP + LINE + 60 * (2 * FRAME + LETTER + GAP + 6) + GAP);
        let (one, many) =
            (drawn(&[], &none, std::iter::empty()), drawn(&["word ".repeat(200)], &none, std::iter::empty()));
        assert!(many.width() == one.width() && many.height() == one.height() + 17 * LINE, "{}", many.height());
    }
}
