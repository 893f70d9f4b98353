//! Softmax over rows.

use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;

struct Softmax<'a> {
    row: &'a mut [f32],
}

impl Kernel for Softmax<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (blocks, rest) = self.row.as_chunks_mut::<LANES>();
        let mut max = s.load_part(rest, f32::NEG_INFINITY);
        for x in &*blocks {
            max = s.max(s.load(x), max);
        }
        let max = s.splat(s.max_lane(max));
        let tail = math::exp(s, s.sub(s.load_part(rest, f32::NEG_INFINITY), max));
        let mut sum = tail;
        for x in &mut *blocks {
            let y = math::exp(s, s.sub(s.load(x), max));
            sum = s.add(sum, y);
            s.store(x, y);
        }
        let scale = s.splat(1.0 / s.sum(sum));
        for x in blocks {
            let y = s.mul(s.load(x), scale);
            s.store(x, y);
        }
        s.store_part(rest, s.mul(tail, scale));
    }
}

/// Softmax of each row of `columns` elements, in place. Minus infinity gets 0; a row of nothing else, or with a NaN or
/// plus infinity, becomes NaN. Relative error 1e-6, and 6e-8 for every unit below the row's maximum; probabilities below
/// 1e-37 become 0.
///
/// # Panics
/// If `x` is not whole rows.
pub fn softmax(x: &mut [f32], columns: usize) {
    softmax_at(Level::best(), x, columns);
}

pub(crate) fn softmax_at(level: Level, x: &mut [f32], columns: usize) {
    assert!(columns > 0 && x.len().is_multiple_of(columns), "rows of {columns} in {} elements", x.len());
    for_rows(x, columns, |_, chunk| {
        for row in chunk.chunks_exact_mut(columns) {
            level.run(Softmax { row });
        }
    });
}
