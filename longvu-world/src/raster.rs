//! From outlines to pixels, with smooth edges.

use crate::Thing;
use crate::outline::spans;

/// Steps to a pixel in which places are given.
pub(crate) const STEPS: i64 = 256;

/// Lines to a pixel on which the outline is looked at.
const LINES: i64 = 4;

/// Something to be painted: places and lengths in 1/[`STEPS`] of a pixel.
pub(crate) struct Figure {
    pub thing: Thing,
    pub rgb: [u8; 3],
    pub x: i64,
    pub y: i64,
    pub radius: i64,
}

/// Paints figures on a picture, and keeps its scratch memory from one to the next.
#[derive(Default)]
pub(crate) struct Painter {
    /// How much of each pixel of a row is covered, in 1 / ([`STEPS`] * [`LINES`]).
    covered: Vec<u32>,
    line: Vec<(i64, i64)>,
}

impl Painter {
    /// Paints a figure on `rgb`, `[height, width, 3]`; parts outside of the picture are cut off.
    pub fn paint(&mut self, figure: &Figure, rgb: &mut [u8], width: u32, height: u32) {
        let inside = |from: i64, to: i64, length: u32| {
            let length = i64::from(length);
            let first = from.div_euclid(STEPS).clamp(0, length);
            let end = (to.div_euclid(STEPS) + 1).clamp(first, length);
            first..end
        };
        let columns = inside(figure.x - figure.radius, figure.x + figure.radius, width);
        let rows = inside(figure.y - figure.radius, figure.y + figure.radius, height);
        if columns.is_empty() {
            return;
        }
        for row in rows {
            self.cover(figure, row, columns.start, columns.end);
            let start = (row as usize * width as usize + columns.start as usize) * 3;
            let pixels = rgb.get_mut(start..).unwrap_or_default().chunks_exact_mut(3);
            for (pixel, covered) in pixels.zip(&self.covered) {
                blend(pixel, figure.rgb, *covered);
            }
        }
    }

    /// Measures how much of each pixel of a row a figure covers.
    fn cover(&mut self, figure: &Figure, row: i64, first: i64, end: i64) {
        self.covered.clear();
        self.covered.resize((end - first) as usize, 0);
        for line in 0..LINES {
            let y = row * STEPS + (2 * line + 1) * STEPS / (2 * LINES);
            spans(figure.thing, figure.radius, y - figure.y, &mut self.line);
            for (from, to) in &self.line {
                let from = (from + figure.x - first * STEPS).max(0);
                let to = (to + figure.x - first * STEPS).min((end - first) * STEPS);
                if from < to {
                    add(&mut self.covered, from, to);
                }
            }
        }
    }
}

/// Adds a span, in steps from the first pixel and within the row.
fn add(covered: &mut [u32], from: i64, to: i64) {
    let (first, last) = ((from / STEPS) as usize, ((to - 1) / STEPS) as usize);
    let whole = STEPS as u32;
    let (head, tail) = ((from % STEPS) as u32, ((to - 1) % STEPS) as u32 + 1);
    if first == last {
        covered[first] += tail - head;
        return;
    }
    covered[first] += whole - head;
    covered[first + 1..last].iter_mut().for_each(|pixel| *pixel += whole);
    covered[last] += tail;
}

fn blend(pixel: &mut [u8], colour: [u8; 3], covered: u32) {
    const WHOLE: u32 = (STEPS * LINES) as u32;
    match covered {
        0 => {}
        WHOLE => pixel.copy_from_slice(&colour),
        _ => {
            for (level, wanted) in pixel.iter_mut().zip(colour) {
                let sum = u32::from(*level) * (WHOLE - covered) + u32::from(wanted) * covered;
                *level = ((sum + WHOLE / 2) / WHOLE) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn painted(figure: &Figure, width: u32, height: u32) -> Vec<u8> {
        let mut rgb = vec![0; (width * height * 3) as usize];
        Painter::default().paint(figure, &mut rgb, width, height);
        rgb
    }

    fn square(x: i64, y: i64, side: i64) -> Figure {
        // The square's sides are nine tenths of its extent.
        let radius = side * 10 / 18;
        Figure { thing: Thing::Shape(Shape::Square), rgb: [200, 100, 0], x, y, radius }
    }

    #[test]
    fn edges_are_as_bright_as_the_part_they_cover() {
        // From 2.5 to 5.5 in both directions, to a step.
        let rgb = painted(&square(4 * STEPS, 4 * STEPS, 3 * STEPS), 8, 8);
        let red = |x: usize, y: usize| rgb[(y * 8 + x) * 3];
        assert_eq!((red(1, 4), red(3, 3), red(4, 4), red(6, 4)), (0, 200, 200, 0));
        for at in [red(2, 4), red(5, 4), red(4, 2), red(4, 5)] {
            assert!(at.abs_diff(100) <= 2, "{at}");
        }
        assert!(red(2, 2).abs_diff(50) <= 2);
    }

    #[test]
    fn parts_outside_are_cut_off() {
        for (x, y) in [(0, 0), (8, 8), (-3, 4), (4, 100), (-100, -100)] {
            let rgb = painted(&square(x * STEPS, y * STEPS, 40 * STEPS / 10), 8, 8);
            let lit = rgb.chunks(3).filter(|pixel| pixel[0] > 0).count();
            assert!(lit <= 9, "{lit} at {x}, {y}");
        }
        let all = painted(&square(4 * STEPS, 4 * STEPS, 900 * STEPS), 8, 8);
        assert!(all.chunks(3).all(|pixel| pixel == [200, 100, 0]));
    }
}
