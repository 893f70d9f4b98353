//! Cosines of the rows of later frames with the rows at the same place in the first.

use crate::gemv::TASK_BYTES;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_each;

/// `x . y` and `x . x`.
struct Products<'a> {
    x: &'a [f32],
    y: &'a [f32],
}

impl Kernel for Products<'_> {
    type Out = (f32, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f32, f32) {
        let (xs, x_rest) = self.x.as_chunks::<LANES>();
        let (ys, y_rest) = self.y.as_chunks::<LANES>();
        let (x_pairs, x_odd) = xs.as_chunks::<2>();
        let (y_pairs, y_odd) = ys.as_chunks::<2>();
        let x = s.load_part(x_rest, 0.0);
        let mut dots = [s.mul(x, s.load_part(y_rest, 0.0)), s.splat(0.0)];
        let mut squares = [s.mul(x, x), s.splat(0.0)];
        for ([a, b], [c, d]) in x_pairs.iter().zip(y_pairs) {
            let (a, b) = (s.load(a), s.load(b));
            dots = [s.fma(a, s.load(c), dots[0]), s.fma(b, s.load(d), dots[1])];
            squares = [s.fma(a, a, squares[0]), s.fma(b, b, squares[1])];
        }
        for (a, c) in x_odd.iter().zip(y_odd) {
            let a = s.load(a);
            dots[0] = s.fma(a, s.load(c), dots[0]);
            squares[0] = s.fma(a, a, squares[0]);
        }
        (s.sum(s.add(dots[0], dots[1])), s.sum(s.add(squares[0], squares[1])))
    }
}

/// The cosine of every row of the second and later frames with the row at the same place in the first frame, norms being at
/// least `eps`: x `[frames, rows, width]`, out `[rows, frames - 1]`. Memory is read once. Absolute error 1e-6.
///
/// # Panics
/// If the lengths do not fit.
pub fn cosine_with_first(x: &[f32], frames: usize, width: usize, eps: f32, out: &mut [f32]) {
    cosine_at(Level::best(), x, frames, width, eps, out);
}

pub(crate) fn cosine_at(level: Level, x: &[f32], frames: usize, width: usize, eps: f32, out: &mut [f32]) {
    assert!(frames > 0 && width > 0 && x.len().is_multiple_of(frames * width), "{frames} frames in {}", x.len());
    let (rows, later) = (x.len() / (frames * width), frames - 1);
    assert_eq!(out.len(), rows * later, "cosines of {rows} rows of {later} frames");
    if out.is_empty() {
        return;
    }
    let count = (TASK_BYTES / (frames * width * size_of::<f32>())).max(1);
    for_each(out.chunks_mut(count * later).enumerate().collect(), |(i, out)| {
        for (row, out) in (i * count..).zip(out.chunks_exact_mut(later)) {
            let at = |frame: usize| &x[(frame * rows + row) * width..][..width];
            let first = at(0);
            let (_, square) = level.run(Products { x: first, y: first });
            let norm = square.sqrt().max(eps);
            for (frame, out) in (1..).zip(out) {
                let (dot, square) = level.run(Products { x: at(frame), y: first });
                *out = dot / (norm * square.sqrt().max(eps));
            }
        }
    });
}
