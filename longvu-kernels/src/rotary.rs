//! Rotary position embeddings, halves rotated against each other.

use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;

/// How rows of `head_dim` elements follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// `[heads, positions, head_dim]`.
    HeadsFirst,
    /// `[positions, heads, head_dim]`, as a projection leaves them.
    PositionsFirst,
}

/// Rotates two halves, or turns them back.
struct Rotate<'a, const BACK: bool> {
    low: &'a mut [f32],
    high: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
}

impl<const BACK: bool> Kernel for Rotate<'_, BACK> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (lows, low_rest) = self.low.as_chunks_mut::<LANES>();
        let (highs, high_rest) = self.high.as_chunks_mut::<LANES>();
        let (coses, cos_rest) = self.cos.as_chunks::<LANES>();
        let (sines, sin_rest) = self.sin.as_chunks::<LANES>();
        for (((low, high), cos), sin) in lows.iter_mut().zip(highs).zip(coses).zip(sines) {
            let (a, b, cos, sin) = (s.load(low), s.load(high), s.load(cos), s.load(sin));
            let sin = if BACK { s.sub(s.splat(0.0), sin) } else { sin };
            s.store(low, s.sub(s.mul(a, cos), s.mul(b, sin)));
            s.store(high, s.fma(a, sin, s.mul(b, cos)));
        }
        let tail = low_rest.iter_mut().zip(high_rest).zip(cos_rest).zip(sin_rest);
        for (((low, high), cos), sin) in tail {
            let sin = if BACK { -sin } else { *sin };
            (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
        }
    }
}

/// Rotates, in place: element `i` of a row's first half and element `i` of its second by the angle whose cosine and sine
/// are `cos[position, i]` and `sin[position, i]`; the tables are `[positions, head_dim / 2]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn rotary(x: &mut [f32], heads: usize, head_dim: usize, order: RowOrder, cos: &[f32], sin: &[f32]) {
    rotary_at::<false>(Level::best(), x, heads, head_dim, order, cos, sin);
}

/// [`rotary`], or with `BACK` by the opposite angles.
pub(crate) fn rotary_at<const BACK: bool>(
    level: Level,
    x: &mut [f32],
    heads: usize,
    head_dim: usize,
    order: RowOrder,
    cos: &[f32],
    sin: &[f32],
) {
    let half = head_dim / 2;
    assert!(heads > 0 && half > 0 && head_dim.is_multiple_of(2), "{heads} heads of {head_dim}");
    let positions = cos.len() / half;
    assert!(cos.len() == positions * half && sin.len() == cos.len(), "tables of rows of {half}");
    assert_eq!(x.len(), heads * positions * head_dim, "rows for {heads} heads at {positions} positions");
    for_rows(x, head_dim, |first, chunk| {
        for (i, row) in chunk.chunks_exact_mut(head_dim).enumerate() {
            let position = match order {
                RowOrder::HeadsFirst => (first + i) % positions,
                RowOrder::PositionsFirst => (first + i) / heads,
            };
            let (low, high) = row.split_at_mut(half);
            let angles = position * half..(position + 1) * half;
            level.run(Rotate::<BACK> { low, high, cos: &cos[angles.clone()], sin: &sin[angles] });
        }
    });
}
