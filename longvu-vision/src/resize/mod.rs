//! Pillow's 8-bit bicubic resampling, to the byte.
//!
//! Pillow widens the filter when it shrinks (antialiasing), turns the filter into 22-bit integers, and rounds to
//! bytes after the horizontal and again after the vertical pass. Results differ from exact resampling by up to
//! one level, and the towers were trained on those levels.

mod passes;
mod taps;

use rayon::prelude::*;

use passes::{Passes, ROWS};
#[cfg(test)]
use taps::to_byte;
use taps::{HALF, Taps};

/// Frames above this many pixels are shared out to rayon's threads; below, handing out costs more than it gives where
/// frames are prepared beside the decoder and the towers.
const PARALLEL_PIXELS: usize = 4 << 20;

/// Pads `rgb` (`[height, width, 3]`) to a square filled with `fill` and resizes that to `[target, target, 3]`.
///
/// The frame sits in the middle, `(side - short) / 2` from the edge. The square itself is never built: a row of
/// padding stays the constant colour through the horizontal pass.
pub fn pad_and_resize(rgb: &[u8], width: usize, height: usize, target: usize, fill: [u8; 3]) -> Vec<u8> {
    resize_with(Passes::fastest(), rgb, (width, height), target, fill)
}

fn resize_with(passes: Passes, rgb: &[u8], size: (usize, usize), target: usize, fill: [u8; 3]) -> Vec<u8> {
    let (width, height) = size;
    let side = width.max(height);
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    if side == target {
        return pad(rgb, width, height, side, fill);
    }
    let taps = Taps::new(side, target);
    let is_large = width * height > PARALLEL_PIXELS;

    // Of each sum only the part over the frame differs from row to row.
    let (columns, beside) = taps.within(left..left + width);
    let base: Vec<[i32; 3]> = beside.iter().map(|sum| fill.map(|level| HALF + sum * i32::from(level))).collect();
    let horizontal = passes.horizontal(&columns, &base);
    let stride = passes::stride(target);
    let mut narrow = vec![0; height.next_multiple_of(ROWS) * stride];
    let row_buffers = || -> [Vec<u8>; ROWS] { std::array::from_fn(|_| vec![0; horizontal.row_len().max(width * 3)]) };
    // Rows are taken as they stand while enough of the frame follows them.
    let whole_rows = (rgb.len() + 1).saturating_sub(horizontal.row_len()).div_ceil(width * 3);
    let filter = |buffers: &mut [Vec<u8>; ROWS], (group, out): (usize, &mut [u8])| {
        let first = group * ROWS;
        if first + ROWS <= whole_rows {
            horizontal.run(std::array::from_fn(|r| &rgb[(first + r) * width * 3..]), out, stride);
        } else {
            for (row, pixels) in buffers.iter_mut().zip(rgb[first * width * 3..].chunks(width * 3)) {
                row[..width * 3].copy_from_slice(pixels);
            }
            horizontal.run(std::array::from_fn(|r| &buffers[r][..]), out, stride);
        }
    };
    let group = stride * ROWS;
    if is_large {
        narrow.par_chunks_mut(group).enumerate().for_each_init(row_buffers, filter);
    } else {
        let mut rows = row_buffers();
        narrow.chunks_mut(group).enumerate().for_each(|group| filter(&mut rows, group));
    }

    let padding = row_of(fill, target, stride);
    let mut output = vec![0; target * target * 3];
    let (lines, above_and_below) = taps.within(top..top + height);
    let sum = |(y, out): (usize, &mut [u8])| {
        let (first, coefficients) = lines.of(y);
        let rows = narrow.chunks_exact(stride).take(height).skip(first).zip(coefficients.iter().copied());
        // All rows of padding are alike.
        let padding = (above_and_below[y] != 0).then_some((&padding[..], above_and_below[y]));
        passes.vertical(rows.chain(padding), out);
    };
    if is_large {
        output.par_chunks_mut(target * 3).enumerate().for_each(sum);
    } else {
        output.chunks_mut(target * 3).enumerate().for_each(sum);
    }
    output
}

/// A row of one colour, followed by zeros if `length` bytes are more.
fn row_of(colour: [u8; 3], pixels: usize, length: usize) -> Vec<u8> {
    let mut row = colour.repeat(pixels);
    row.resize(row.len().max(length), 0);
    row
}

fn pad(rgb: &[u8], width: usize, height: usize, side: usize, fill: [u8; 3]) -> Vec<u8> {
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    let mut square = fill.repeat(side * side);
    for (y, row) in rgb.chunks(width * 3).enumerate() {
        let start = ((top + y) * side + left) * 3;
        square[start..start + width * 3].copy_from_slice(row);
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(bytes: usize, seed: u32) -> Vec<u8> {
        (0..bytes).map(|i| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 11) as u8).collect()
    }

    /// The definition, pixel by pixel: pad, then each pass rounded to bytes.
    fn by_definition(rgb: &[u8], (width, height): (usize, usize), target: usize, fill: [u8; 3]) -> Vec<u8> {
        let side = width.max(height);
        let square = pad(rgb, width, height, side, fill);
        if side == target {
            return square;
        }
        let taps = Taps::new(side, target);
        let filter = |i: usize, level: &dyn Fn(usize) -> u8| {
            let (first, coefficients) = taps.of(i);
            let products = coefficients.iter().enumerate().filter(|(_, c)| **c != 0);
            to_byte(products.fold(HALF, |sum, (k, c)| sum + i32::from(level(first + k)) * c))
        };
        let each = |rows: usize| (0..rows).flat_map(move |y| (0..target * 3).map(move |i| (y, i / 3, i % 3)));
        let narrow: Vec<u8> = each(side).map(|(y, x, c)| filter(x, &|x| square[(y * side + x) * 3 + c])).collect();
        each(target).map(|(y, x, c)| filter(y, &|y| narrow[(y * target + x) * 3 + c])).collect()
    }

    proptest! {
        /// A frame of one colour keeps it, and padding keeps the fill, at any size.
        #[test]
        fn constant_frames_stay_constant(w in 1usize..70, h in 1usize..70, target in 1usize..50, c in any::<u8>()) {
            let out = pad_and_resize(&vec![c; w * h * 3], w, h, target, [c; 3]);
            prop_assert_eq!(out, vec![c; target * target * 3]);
        }

        /// Every way to compute it gives the bytes of the definition.
        #[test]
        fn all_passes_follow_the_definition(w in 1usize..90, h in 1usize..90, target in 1usize..60, seed: u32, extreme: bool) {
            let mut rgb = noise(w * h * 3, seed);
            if extreme {
                rgb.iter_mut().for_each(|level| *level = if *level < 128 { 0 } else { 255 });
            }
            let fill = [123, 116, 103];
            let expected = by_definition(&rgb, (w, h), target, fill);
            for passes in [Passes::Portable, Passes::fastest()] {
                prop_assert_eq!(&resize_with(passes, &rgb, (w, h), target, fill), &expected, "{:?}", passes);
            }
        }
    }

    /// The time grows with the pixels of the frame, not with those of the square around it, which has ten billion.
    #[test]
    fn very_long_frames_take_no_long_time() {
        let started = std::time::Instant::now();
        for size in [(2, 100_000), (16, 65_000), (100_000, 2)] {
            let resized = pad_and_resize(&vec![255; size.0 * size.1 * 3], size.0, size.1, 384, [0; 3]);
            assert!(resized.iter().any(|level| *level != 0), "{size:?}: something of the frame is left");
            assert!(resized[..3] == [0; 3] && resized[resized.len() - 3..] == [0; 3], "{size:?}");
        }
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    }

    #[test]
    fn long_frames_are_those_of_the_definition() {
        for (size, target) in [((2, 900), 30), ((900, 2), 30), ((1, 700), 7), ((5, 300), 200), ((3, 40), 90)] {
            let rgb = noise(size.0 * size.1 * 3, 9);
            let expected = by_definition(&rgb, size, target, [123, 116, 103]);
            for passes in [Passes::Portable, Passes::fastest()] {
                let resized = resize_with(passes, &rgb, size, target, [123, 116, 103]);
                assert!(resized == expected, "{size:?} to {target}, {passes:?}");
            }
        }
    }

    #[test]
    fn large_frames_and_long_filters() {
        // The last has filters of 300 taps, whose partial sums wrap.
        for (size, target) in [((1920, 1080), 384), ((720, 1280), 378), ((2100, 2000), 50), ((1500, 16), 20)] {
            let rgb = noise(size.0 * size.1 * 3, 7);
            let expected = by_definition(&rgb, size, target, [127; 3]);
            for passes in [Passes::Portable, Passes::fastest()] {
                let resized = resize_with(passes, &rgb, size, target, [127; 3]);
                assert!(resized == expected, "{size:?} to {target}, {passes:?}");
            }
        }
    }
}
