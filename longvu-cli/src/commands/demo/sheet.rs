//! A contact sheet: what became of every sampled frame, as a picture.

use image::{Rgb, RgbImage, imageops};

/// What the prompt has of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: the temporal stage dropped it, or no room was left.
    Dropped,
    /// A few tokens.
    Low(usize),
    /// All tokens of a frame, or those that the spatial stage left.
    Full(usize),
}

/// A sampled frame on the sheet.
pub struct Cell {
    pub picture: RgbImage,
    /// Seconds from the start of the video.
    pub timestamp: f64,
    pub fate: Fate,
}

const PAPER: Rgb<u8> = Rgb([250, 250, 250]);
const INK: Rgb<u8> = Rgb([30, 30, 30]);
const GREY: Rgb<u8> = Rgb([165, 165, 165]);
const AMBER: Rgb<u8> = Rgb([235, 150, 0]);
const GREEN: Rgb<u8> = Rgb([0, 140, 70]);

/// Longer side of a picture, in pixels.
const PICTURE: u32 = 104;
const FRAME: u32 = 4;
const GAP: u32 = 10;
const TEXT: u32 = 8;
const COLUMNS: u32 = 12;

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
            Self::Low(tokens) | Self::Full(tokens) => format!("{tokens} tok"),
        }
    }
}

/// Draws the sheet under some lines of text.
pub fn draw(title: &[String], cells: &[Cell]) -> RgbImage {
    let columns = COLUMNS.min(cells.len().max(1) as u32);
    let rows = (cells.len() as u32).div_ceil(columns);
    let height = cells.iter().map(|cell| fitted(&cell.picture).1).max().unwrap_or(PICTURE);
    let (step_x, step_y) = (PICTURE + 2 * FRAME + GAP, height + 2 * FRAME + TEXT + GAP + 6);
    let lines = title.len() as u32 + 1;
    let head = GAP + lines * (2 * TEXT + 6) + GAP;
    let longest = title.iter().map(|line| line.chars().count()).max().unwrap_or(0) as u32;
    let width = (GAP + columns * step_x).max(2 * GAP + longest.max(LEGEND) * 2 * TEXT);
    let mut sheet = RgbImage::from_pixel(width, head + rows * step_y + GAP, PAPER);
    for (line, text) in title.iter().enumerate() {
        write(&mut sheet, text, (GAP, GAP + line as u32 * (2 * TEXT + 6)), 2, INK);
    }
    legend(&mut sheet, GAP + (lines - 1) * (2 * TEXT + 6));
    for (i, cell) in cells.iter().enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        put(&mut sheet, cell, (GAP + column * step_x, head + row * step_y), height);
    }
    sheet
}

/// Characters of the legend.
const LEGEND: u32 = 48;

fn legend(sheet: &mut RgbImage, y: u32) {
    let mut x = GAP;
    for (fate, text) in
        [(Fate::Full(0), "full resolution"), (Fate::Low(0), "low resolution"), (Fate::Dropped, "dropped")]
    {
        fill(sheet, (x, y), (2 * TEXT, 2 * TEXT), fate.colour());
        write(sheet, text, (x + 3 * TEXT, y), 2, INK);
        x += 3 * TEXT + (text.len() as u32 + 1) * 2 * TEXT;
    }
}

fn put(sheet: &mut RgbImage, cell: &Cell, (x, y): (u32, u32), height: u32) {
    let (width, own_height) = fitted(&cell.picture);
    let mut picture = imageops::resize(&cell.picture, width, own_height, imageops::FilterType::Triangle);
    match cell.fate {
        Fate::Full(_) => {}
        // Coarse, as the model gets it, but not so coarse that a person could not tell what it was.
        Fate::Low(_) => {
            let coarse =
                imageops::resize(&picture, (width / 8).max(1), (own_height / 8).max(1), imageops::FilterType::Triangle);
            picture = imageops::resize(&coarse, width, own_height, imageops::FilterType::Nearest);
        }
        Fate::Dropped => picture.pixels_mut().for_each(fade),
    }
    let (left, top) = (x + (PICTURE - width) / 2, y + (height - own_height) / 2);
    fill(sheet, (left, top), (width + 2 * FRAME, own_height + 2 * FRAME), cell.fate.colour());
    imageops::overlay(sheet, &picture, i64::from(left + FRAME), i64::from(top + FRAME));
    let seconds = cell.timestamp.round() as u64;
    let caption = format!("{}:{:02} {}", seconds / 60, seconds % 60, cell.fate.caption());
    write(sheet, &caption, (x + FRAME, y + height + 2 * FRAME + 3), 1, INK);
}

/// Width and height within a square of [`PICTURE`].
fn fitted(picture: &RgbImage) -> (u32, u32) {
    let (width, height) = picture.dimensions();
    let longer = width.max(height).max(1);
    let side = |side: u32| (side * PICTURE / longer).max(1);
    (side(width), side(height))
}

/// Towards the paper, and without colour.
fn fade(pixel: &mut Rgb<u8>) {
    let [red, green, blue] = pixel.0.map(u32::from);
    let light = (red * 3 + green * 6 + blue) / 10;
    *pixel = Rgb([(light / 3 + 160).min(255) as u8; 3]);
}

fn fill(sheet: &mut RgbImage, (x, y): (u32, u32), (width, height): (u32, u32), colour: Rgb<u8>) {
    for row in y..(y + height).min(sheet.height()) {
        for column in x..(x + width).min(sheet.width()) {
            sheet.put_pixel(column, row, colour);
        }
    }
}

/// Writes in letters of 8 x 8 dots, each `scale` pixels wide; characters that have none are left out.
fn write(sheet: &mut RgbImage, text: &str, (x, y): (u32, u32), scale: u32, colour: Rgb<u8>) {
    use font8x8::UnicodeFonts;
    for (place, character) in text.chars().enumerate() {
        let Some(glyph) = font8x8::BASIC_FONTS.get(character) else { continue };
        let left = x + place as u32 * TEXT * scale;
        for (row, dots) in (0u32..).zip(glyph) {
            for column in (0..TEXT).filter(|column| dots >> column & 1 == 1) {
                fill(sheet, (left + column * scale, y + row * scale), (scale, scale), colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_has_its_place_and_colour() {
        let cell = |fate| Cell { picture: RgbImage::from_pixel(64, 36, Rgb([200, 20, 20])), timestamp: 61.0, fate };
        let cells: Vec<Cell> =
            [Fate::Dropped, Fate::Low(4), Fate::Full(20)].into_iter().cycle().take(14).map(cell).collect();
        let sheet = draw(&["A question?".into()], &cells);
        for colour in [GREY, AMBER, GREEN, INK, PAPER] {
            assert!(sheet.pixels().any(|pixel| *pixel == colour), "{colour:?}");
        }
        // Full pictures keep their colour, dropped ones lose it.
        let red = sheet.pixels().filter(|pixel| pixel.0 == [200, 20, 20]).count();
        assert!(red >= 4 * 100 * 50, "{red}");
        assert_eq!(draw(&[], &[]).width() % 2, 0);
    }
}
