//! Pillow's 8-bit bicubic resampling, to the byte.
//!
//! Pillow widens the filter when it shrinks (antialiasing), turns the filter into 22-bit integers, and rounds to
//! bytes after the horizontal and again after the vertical pass. Results differ from exact resampling by up to
//! one level, and the towers were trained on those levels.

use rayon::prelude::*;

/// Fractional bits of a filter coefficient.
const PRECISION: u32 = 32 - 8 - 2;

/// Filter taps of one axis: for each output position, the first source position and its coefficients.
struct Taps {
    starts: Vec<usize>,
    coefficients: Vec<i32>,
    width: usize,
}

impl Taps {
    fn new(source: usize, target: usize) -> Self {
        let scale = source as f64 / target as f64;
        let filter_scale = scale.max(1.0);
        let support = 2.0 * filter_scale;
        let width = support.ceil() as usize * 2 + 1;
        let mut starts = Vec::with_capacity(target);
        let mut coefficients = vec![0; target * width];
        for (i, row) in coefficients.chunks_mut(width).enumerate() {
            let centre = (i as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let last = ((centre + support + 0.5) as usize).min(source);
            let weight = |x: usize| bicubic((x as f64 - centre + 0.5) / filter_scale);
            let total: f64 = (first..last).map(weight).sum();
            for (slot, x) in row.iter_mut().zip(first..last) {
                let fixed = weight(x) / total * f64::from(1u32 << PRECISION);
                *slot = (fixed + 0.5f64.copysign(fixed)) as i32;
            }
            starts.push(first);
        }
        Self { starts, coefficients, width }
    }

    fn of(&self, i: usize) -> (usize, &[i32]) {
        (self.starts[i], &self.coefficients[i * self.width..(i + 1) * self.width])
    }
}

/// The cubic convolution kernel with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds a fixed-point sum to a byte.
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

/// Pads `rgb` (`[height, width, 3]`) to a square filled with `fill` and resizes that to `[target, target, 3]`.
///
/// The frame sits in the middle, `(side - short) / 2` from the edge. The square itself is never built: a row of
/// padding stays the constant colour through the horizontal pass.
pub fn pad_and_resize(rgb: &[u8], width: usize, height: usize, target: usize, fill: [u8; 3]) -> Vec<u8> {
    let side = width.max(height);
    let (left, top) = ((side - width) / 2, (side - height) / 2);
    if side == target {
        return pad(rgb, width, height, side, fill);
    }
    let taps = Taps::new(side, target);
    let mut narrow = vec![0u8; height * target * 3];
    narrow.par_chunks_mut(target * 3).enumerate().for_each_init(
        || fill.repeat(side),
        |padded, (y, out)| {
            padded[left * 3..(left + width) * 3].copy_from_slice(&rgb[y * width * 3..(y + 1) * width * 3]);
            horizontal(padded, out, &taps);
        },
    );
    let mut output = vec![0u8; target * target * 3];
    output.par_chunks_mut(target * 3).enumerate().for_each_init(
        || vec![0i32; target * 3],
        |sums, (y, out)| {
            let (first, coefficients) = taps.of(y);
            sums.fill(HALF);
            for (k, &c) in coefficients.iter().enumerate().filter(|(_, c)| **c != 0) {
                let row = (first + k).checked_sub(top).filter(|&row| row < height);
                match row.map(|row| &narrow[row * target * 3..(row + 1) * target * 3]) {
                    Some(row) => sums.iter_mut().zip(row).for_each(|(sum, &p)| *sum += i32::from(p) * c),
                    None => {
                        let added = fill.map(|p| i32::from(p) * c);
                        sums.as_chunks_mut::<3>().0.iter_mut().for_each(|s| (0..3).for_each(|i| s[i] += added[i]));
                    }
                }
            }
            out.iter_mut().zip(sums.iter()).for_each(|(o, &s)| *o = to_byte(s));
        },
    );
    output
}

fn horizontal(row: &[u8], out: &mut [u8], taps: &Taps) {
    let pixels = row.as_chunks::<3>().0;
    for (x, pixel) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (first, coefficients) = taps.of(x);
        let mut sums = [HALF; 3];
        for (p, &c) in pixels[first..].iter().zip(coefficients) {
            (0..3).for_each(|i| sums[i] += i32::from(p[i]) * c);
        }
        *pixel = sums.map(to_byte);
    }
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

    proptest! {
        /// A frame of one colour keeps it, and padding keeps the fill, at any size.
        #[test]
        fn constant_frames_stay_constant(w in 1usize..70, h in 1usize..70, target in 1usize..50, c in any::<u8>()) {
            let out = pad_and_resize(&vec![c; w * h * 3], w, h, target, [c; 3]);
            prop_assert_eq!(out, vec![c; target * target * 3]);
        }

        /// Padding virtually equals padding for real.
        #[test]
        fn virtual_padding_equals_a_padded_square(w in 1usize..40, h in 1usize..40, target in 1usize..40, seed in any::<u32>()) {
            let rgb: Vec<u8> = (0..w * h * 3).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) as u8).collect();
            let fill = [123, 116, 103];
            let side = w.max(h);
            let square = pad(&rgb, w, h, side, fill);
            prop_assert_eq!(
                pad_and_resize(&rgb, w, h, target, fill),
                pad_and_resize(&square, side, side, target, fill)
            );
        }
    }
}
