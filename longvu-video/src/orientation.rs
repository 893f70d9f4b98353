//! How a camera was held: reading the display matrix and turning pictures upright.

use ffmpeg::codec::packet::side_data;
use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

/// The orientation a stream asks for by a display matrix; `None` if it is no multiple of a quarter turn.
pub(crate) fn of_stream(stream: &ffmpeg::Stream<'_>) -> Option<Orientation> {
    for data in stream.side_data() {
        if data.kind() == side_data::Type::DisplayMatrix {
            return from_matrix(data.data());
        }
    }
    Some(Orientation::NoTransforms)
}

/// Reads a display matrix: nine 32-bit integers `[a, b, u, c, d, v, x, y, w]` in native byte order, where a stored point
/// (p, q) is shown at (a p + c q + x, b p + d q + y), q pointing down.
fn from_matrix(bytes: &[u8]) -> Option<Orientation> {
    let sign = |index: usize| -> Option<i32> {
        let word = bytes.get(index * 4..index * 4 + 4)?;
        Some(i32::from_ne_bytes(word.try_into().ok()?).signum())
    };
    match (sign(0)?, sign(1)?, sign(3)?, sign(4)?) {
        (1, 0, 0, 1) => Some(Orientation::NoTransforms),
        (0, 1, -1, 0) => Some(Orientation::Rotate90),
        (-1, 0, 0, -1) => Some(Orientation::Rotate180),
        (0, -1, 1, 0) => Some(Orientation::Rotate270),
        (-1, 0, 0, 1) => Some(Orientation::FlipHorizontal),
        (1, 0, 0, -1) => Some(Orientation::FlipVertical),
        (0, 1, 1, 0) => Some(Orientation::Rotate90FlipH),
        (0, -1, -1, 0) => Some(Orientation::Rotate270FlipH),
        _ => None,
    }
}

/// Quarter turns clockwise in degrees, and whether the turned picture is then mirrored left to right.
pub(crate) fn describe(orientation: Orientation) -> (u32, bool) {
    match orientation {
        Orientation::NoTransforms => (0, false),
        Orientation::Rotate90 => (90, false),
        Orientation::Rotate180 => (180, false),
        Orientation::Rotate270 => (270, false),
        Orientation::FlipHorizontal => (0, true),
        Orientation::Rotate90FlipH => (90, true),
        Orientation::FlipVertical => (180, true),
        Orientation::Rotate270FlipH => (270, true),
    }
}

/// An orientation, and after it so many degrees clockwise, and after them the mirror.
pub(crate) fn then(first: Orientation, degrees: u32, mirrored: bool) -> Orientation {
    let (turned, was_mirrored) = describe(first);
    // In the mirror a turn goes the other way round.
    let degrees = if was_mirrored { 360 - degrees % 360 } else { degrees };
    match ((turned + degrees) % 360, was_mirrored != mirrored) {
        (90, false) => Orientation::Rotate90,
        (180, false) => Orientation::Rotate180,
        (270, false) => Orientation::Rotate270,
        (90, true) => Orientation::Rotate90FlipH,
        (180, true) => Orientation::FlipVertical,
        (270, true) => Orientation::Rotate270FlipH,
        (_, true) => Orientation::FlipHorizontal,
        _ => Orientation::NoTransforms,
    }
}

/// The size (width, height) of a picture once turned.
pub(crate) fn turned_size(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    if describe(orientation).0 % 180 == 90 { (height, width) } else { (width, height) }
}

/// Turns RGB bytes `[height, width, 3]`; `None` if their length does not fit the size.
pub(crate) fn turn(orientation: Orientation, (width, height): (u32, u32), rgb: Vec<u8>) -> Option<Vec<u8>> {
    if orientation == Orientation::NoTransforms {
        return Some(rgb);
    }
    let mut picture = DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, rgb)?);
    picture.apply_orientation(orientation);
    Some(picture.into_rgb8().into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (3, 2);

    /// Where FFmpeg's definition of the matrix puts each pixel, worked out point by point.
    fn by_definition([a, b, c, d]: [i32; 4], pixels: &[u8]) -> Vec<u8> {
        let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
        let points: Vec<(i32, i32)> =
            (0..height).flat_map(|q| (0..width).map(move |p| (a * p + c * q, b * p + d * q))).collect();
        let left = points.iter().map(|point| point.0).min().unwrap();
        let top = points.iter().map(|point| point.1).min().unwrap();
        let mut placed: Vec<_> = points.iter().map(|(x, y)| (y - top, x - left)).zip(pixels.chunks(3)).collect();
        placed.sort();
        placed.into_iter().flat_map(|(_, pixel)| pixel.to_vec()).collect()
    }

    #[test]
    fn all_eight_orientations_follow_the_matrix() {
        let pixels: Vec<u8> = (0..18).collect();
        let matrices = [
            [1, 0, 0, 1],
            [0, 1, -1, 0],
            [-1, 0, 0, -1],
            [0, -1, 1, 0],
            [-1, 0, 0, 1],
            [1, 0, 0, -1],
            [0, 1, 1, 0],
            [0, -1, -1, 0],
        ];
        for [a, b, c, d] in matrices {
            let one = 1 << 16;
            let words = [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30];
            let bytes: Vec<u8> = words.iter().flat_map(|word: &i32| word.to_ne_bytes()).collect();
            let orientation = from_matrix(&bytes).unwrap();
            let turned = turn(orientation, SIZE, pixels.clone()).unwrap();
            assert_eq!(turned, by_definition([a, b, c, d], &pixels), "{orientation:?}");
            assert_eq!(turned_size(orientation, SIZE), if a == 0 { (2, 3) } else { (3, 2) });
        }
    }

    #[test]
    fn orientations_follow_one_another() {
        use Orientation::{FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270};
        let all = [NoTransforms, Rotate90, Rotate180, Rotate270, FlipHorizontal, FlipVertical, Rotate90FlipH];
        let pixels: Vec<u8> = (0..18).collect();
        for first in all {
            for second in all {
                let once = turn(first, SIZE, pixels.clone()).unwrap();
                let twice = turn(second, turned_size(first, SIZE), once).unwrap();
                let (degrees, mirrored) = describe(second);
                let both = then(first, degrees, mirrored);
                assert_eq!(turn(both, SIZE, pixels.clone()).unwrap(), twice, "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn odd_matrices_are_refused() {
        assert_eq!(from_matrix(&[]), None);
        assert_eq!(from_matrix(&[1; 36]), None);
    }
}
