//! The bicubic filter as fixed-point numbers.

use std::ops::Range;

/// Fractional bits of a filter coefficient.
const PRECISION: u32 = 32 - 8 - 2;

/// What a sum starts from to be rounded by [`to_byte`].
pub const HALF: i32 = 1 << (PRECISION - 1);

/// Rounds a fixed-point sum to a byte.
pub fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Filter taps of one axis: for each output position, the first source position and its coefficients.
pub struct Taps {
    starts: Vec<usize>,
    coefficients: Vec<i32>,
    width: usize,
}

impl Taps {
    /// The filter from `source` to `target` positions.
    pub fn new(source: usize, target: usize) -> Self {
        let scale = source as f64 / target as f64;
        let filter_scale = scale.max(1.0);
        let support = 2.0 * filter_scale;
        let centre = |i: usize| (i as f64 + 0.5) * scale;
        let range = |i: usize| {
            let first = (centre(i) - support + 0.5).max(0.0) as usize;
            first..((centre(i) + support + 0.5) as usize).min(source)
        };
        let width = (0..target).map(|i| range(i).len()).max().unwrap_or(0);
        let mut coefficients = vec![0; target * width];
        let mut weights = Vec::with_capacity(width);
        for (i, row) in coefficients.chunks_mut(width).enumerate() {
            weights.clear();
            weights.extend(range(i).map(|x| bicubic((x as f64 - centre(i) + 0.5) / filter_scale)));
            let total: f64 = weights.iter().sum();
            for (slot, weight) in row.iter_mut().zip(&weights) {
                let fixed = weight / total * f64::from(1u32 << PRECISION);
                *slot = (fixed + 0.5f64.copysign(fixed)) as i32;
            }
        }
        Self { starts: (0..target).map(|i| range(i).start).collect(), coefficients, width }
    }

    /// The same filter where only the source positions of `kept` vary: taps of positions from its start, and for each output
    /// position the sum of the coefficients that are left out.
    pub fn within(&self, kept: Range<usize>) -> (Self, Vec<i32>) {
        let part = |i: usize| {
            let first = self.starts[i];
            let start = kept.start.clamp(first, first + self.width) - first;
            start..kept.end.clamp(first + start, first + self.width) - first
        };
        let width = (0..self.len()).map(|i| part(i).len()).max().unwrap_or(0).max(1);
        let mut coefficients = vec![0; self.len() * width];
        let (mut starts, mut left_out) = (vec![0; self.len()], vec![0; self.len()]);
        for (i, row) in coefficients.chunks_mut(width).enumerate() {
            let (first, all) = self.of(i);
            let part = part(i);
            row[..part.len()].copy_from_slice(&all[part.clone()]);
            left_out[i] = all[..part.start].iter().chain(&all[part.end..]).sum();
            if !part.is_empty() {
                starts[i] = first + part.start - kept.start;
            }
        }
        (Self { starts, coefficients, width }, left_out)
    }

    /// Number of output positions.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Taps of each output position; the last of a position may be 0 and lie past the end of the source.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Source positions up to the end of the last `taps` that any output position starts.
    pub fn reach(&self, taps: usize) -> usize {
        self.starts.iter().max().map_or(0, |start| start + taps)
    }

    /// First source position and coefficients of an output position.
    pub fn of(&self, i: usize) -> (usize, &[i32]) {
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
