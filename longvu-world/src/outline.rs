//! The outlines of things, as spans: where a level line lies inside of one.
//!
//! All arithmetic is on whole numbers, so that the same pixels come out everywhere.

use crate::font;
use crate::{Shape, Thing};

/// A polygon's corners, in thousandths of half its extent, y downwards.
type Corners = &'static [(i64, i64)];

const SQUARE: Corners = &[(-900, -900), (900, -900), (900, 900), (-900, 900)];
const TRIANGLE: Corners = &[(0, -950), (1000, 850), (-1000, 850)];
const CROSS: Corners = &[
    (-320, -1000),
    (320, -1000),
    (320, -320),
    (1000, -320),
    (1000, 320),
    (320, 320),
    (320, 1000),
    (-320, 1000),
    (-320, 320),
    (-1000, 320),
    (-1000, -320),
    (-320, -320),
];
/// Points at a distance of 1000, the corners between at 430, ten steps of 36 degrees from the top.
const STAR: Corners = &[
    (0, -1000),
    (253, -348),
    (951, -309),
    (409, 133),
    (588, 809),
    (0, 430),
    (-588, 809),
    (-409, 133),
    (-951, -309),
    (-253, -348),
];

/// The parts of the line at height `y` that lie inside of `thing`, written to `spans` as (from, to), which do not overlap.
/// Lengths are from the middle of the thing, whose extent is twice `radius`.
pub(crate) fn spans(thing: Thing, radius: i64, y: i64, spans: &mut Vec<(i64, i64)>) {
    spans.clear();
    if radius <= 0 || y.abs() > radius {
        return;
    }
    match thing {
        Thing::Shape(Shape::Circle) => disc(radius, y, spans),
        Thing::Shape(Shape::Ring) => ring(radius, y, spans),
        Thing::Shape(Shape::Square) => polygon(SQUARE, radius, y, spans),
        Thing::Shape(Shape::Triangle) => polygon(TRIANGLE, radius, y, spans),
        Thing::Shape(Shape::Star) => polygon(STAR, radius, y, spans),
        Thing::Shape(Shape::Cross) => polygon(CROSS, radius, y, spans),
        Thing::Digit(digit) => glyph(font::digit(digit), radius, y, spans),
        Thing::Letter(letter) => glyph(font::letter(letter), radius, y, spans),
    }
}

/// Half the chord of a disc at a distance from its middle.
fn half_chord(radius: i64, y: i64) -> i64 {
    u64::try_from(radius * radius - y * y).map_or(0, |square| square.isqrt() as i64)
}

fn disc(radius: i64, y: i64, spans: &mut Vec<(i64, i64)>) {
    let half = half_chord(radius, y);
    spans.push((-half, half));
}

fn ring(radius: i64, y: i64, spans: &mut Vec<(i64, i64)>) {
    let (outer, inner) = (half_chord(radius, y), half_chord(radius / 2, y));
    spans.push((-outer, -inner));
    spans.push((inner, outer));
}

/// Between every second and third crossing of the line with the sides lies the outside.
fn polygon(corners: Corners, radius: i64, y: i64, spans: &mut Vec<(i64, i64)>) {
    let scale = |(x, y): (i64, i64)| ((x * radius).div_euclid(1000), (y * radius).div_euclid(1000));
    // A simple polygon of at most 12 sides has at most 12 crossings with a line.
    let mut crossings = [0_i64; 12];
    let mut count = 0;
    for (place, corner) in corners.iter().enumerate() {
        let (from, to) = (scale(*corner), scale(corners[(place + 1) % corners.len()]));
        if (from.1 <= y) != (to.1 <= y) {
            crossings[count] = from.0 + ((y - from.1) * (to.0 - from.0)).div_euclid(to.1 - from.1);
            count += 1;
        }
    }
    crossings[..count].sort_unstable();
    spans.extend(crossings[..count].chunks_exact(2).map(|pair| (pair[0], pair[1])));
}

/// A bitmap as high as the extent. Its dots are half as wide again as they are apart, so that slanted strokes hold together:
/// in quarters of their distance, each covers six, and the seven rows thirty.
fn glyph(bitmap: font::Bitmap, radius: i64, y: i64, spans: &mut Vec<(i64, i64)>) {
    let height = ((y + radius) * 30 / (2 * radius)).clamp(0, 29) as usize;
    let row = |row: usize| bitmap.get(row).copied().unwrap_or(0);
    let above = if height % 4 < 2 { (height / 4).checked_sub(1).map_or(0, row) } else { 0 };
    let dots = row(height / 4) | above;
    let edge = |quarters: i64| ((quarters - 11) * radius).div_euclid(15);
    for column in (0..5).filter(|column| dots >> (4 - column) & 1 == 1) {
        let (from, to) = (edge(4 * column), edge(4 * column + 6));
        match spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => spans.push((from, to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area in parts of the square around.
    fn area(thing: Thing) -> f64 {
        let (radius, mut line) = (5000, Vec::new());
        let mut sum = 0;
        for y in -radius..radius {
            spans(thing, radius, y, &mut line);
            assert!(line.iter().all(|(from, to)| -radius <= *from && from <= to && *to <= radius), "{thing}: {line:?}");
            assert!(line.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{thing}: {line:?}");
            sum += line.iter().map(|(from, to)| to - from).sum::<i64>();
        }
        sum as f64 / (4 * radius * radius) as f64
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let star = {
            let (outer, inner) = (1.0_f64, 0.43);
            10.0 * 0.5 * outer * inner * (36.0_f64).to_radians().sin() / 4.0
        };
        let pi = std::f64::consts::PI;
        let expected = [pi / 4.0, 0.81, 0.45, star, 0.32 + 0.32 * 0.68, pi * 3.0 / 16.0];
        for (shape, expected) in Shape::ALL.into_iter().zip(expected) {
            let area = area(Thing::Shape(shape));
            assert!((area - expected).abs() < 2e-3, "{shape}: {area} for {expected}");
        }
        // An L is two bars 1.5 thick, 7.5 and 5.5 long, in a square of 7.5.
        let two_bars = 1.5 * (7.5 + 5.5 - 1.5) / (7.5 * 7.5);
        assert!((area(Thing::Letter('l')) - two_bars).abs() < 2e-3);
    }
}
