//! Products of every row with every row, in one pass over memory.

use crate::simd::{Kernel, LANES, Level, Simd, Tile};
use crate::threads::for_each;

/// Columns that all rows are multiplied by at a time: 16 rows of them fit the first cache.
const TILE: usize = 256;

/// Columns of a task. The cuts are also where sums of `f32` end and those of `f64` begin.
const TASK: usize = 8192;

/// The products of some columns.
struct Columns<'a> {
    x: &'a [f32],
    width: usize,
    first: usize,
    end: usize,
    /// `[rows, rows]`, of which only `j >= i` is written.
    out: &'a mut [f64],
}

impl Kernel for Columns<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match S::TILE {
            Tile::Rows8Vectors2 => self.tiles::<S, 4, 4>(s),
            Tile::Rows6Vectors1 => self.tiles::<S, 3, 2>(s),
            Tile::Rows4Vectors1 => self.tiles::<S, 2, 2>(s),
        }
    }
}

impl Columns<'_> {
    /// Multiplies `A` rows by `B` rows at a time, whose sums stay in registers for a tile.
    #[inline(always)]
    fn tiles<S: Simd, const A: usize, const B: usize>(self, s: S) {
        let rows = self.x.len() / self.width;
        let mut sums = vec![s.splat(0.0); rows * rows];
        for first in (self.first..self.end).step_by(TILE) {
            let end = self.end.min(first + TILE);
            // A row beyond the last is the last once more, and its sums are dropped.
            let row = |i: usize| &self.x[i.min(rows - 1) * self.width..][first..end];
            for i in (0..rows).step_by(A) {
                let a: [&[f32]; A] = std::array::from_fn(|k| row(i + k));
                for j in (i / B * B..rows).step_by(B) {
                    let b: [&[f32]; B] = std::array::from_fn(|k| row(j + k));
                    let products = block(s, a, b, j == i / B * B);
                    for k in 0..A.min(rows - i) {
                        for l in 0..B.min(rows - j) {
                            let sum = &mut sums[(i + k) * rows + j + l];
                            *sum = s.add(*sum, products[k][l]);
                        }
                    }
                }
            }
        }
        for (out, sum) in self.out.iter_mut().zip(sums) {
            *out = f64::from(s.sum(sum));
        }
    }
}

/// `A` rows times `B` rows of a tile; asks for the next tile of the `A` rows if `fetch`.
#[inline(always)]
fn block<S: Simd, const A: usize, const B: usize>(s: S, a: [&[f32]; A], b: [&[f32]; B], fetch: bool) -> [[S::F; B]; A] {
    let mut sums = [[s.splat(0.0); B]; A];
    let whole = a[0].len() / LANES;
    let a_blocks: [&[[f32; LANES]]; A] = std::array::from_fn(|k| &a[k].as_chunks().0[..whole]);
    let b_blocks: [&[[f32; LANES]]; B] = std::array::from_fn(|l| &b[l].as_chunks().0[..whole]);
    for t in 0..whole {
        // SAFETY: each of the slices was cut to `whole` blocks.
        let b: [S::F; B] = std::array::from_fn(|l| s.load(unsafe { b_blocks[l].get_unchecked(t) }));
        for k in 0..A {
            // SAFETY: as above.
            let block = unsafe { a_blocks[k].get_unchecked(t) };
            if fetch {
                s.prefetch(block, TILE * size_of::<f32>());
            }
            let a = s.load(block);
            for l in 0..B {
                sums[k][l] = s.fma(a, b[l], sums[k][l]);
            }
        }
    }
    if a[0].len() > whole * LANES {
        let b: [S::F; B] = std::array::from_fn(|l| s.load_part(&b[l][whole * LANES..], 0.0));
        for k in 0..A {
            let a = s.load_part(&a[k][whole * LANES..], 0.0);
            for l in 0..B {
                sums[k][l] = s.fma(a, b[l], sums[k][l]);
            }
        }
    }
    sums
}

/// `out[i, j] = sum over c of x[i, c] * x[j, c]`: x `[rows, width]`, out `[rows, rows]`. Memory is read once, which is what
/// counts where rows are as long as a frame's features. Relative error 1e-6 of the product of the rows' norms.
///
/// # Panics
/// If the lengths do not fit.
pub fn gram(x: &[f32], width: usize, out: &mut [f64]) {
    gram_at(Level::best(), x, width, out);
}

pub(crate) fn gram_at(level: Level, x: &[f32], width: usize, out: &mut [f64]) {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} in {} elements", x.len());
    let rows = x.len() / width;
    assert_eq!(out.len(), rows * rows, "products of {rows} rows");
    if rows == 0 {
        return;
    }
    let mut parts = vec![0.0; width.div_ceil(TASK) * out.len()];
    for_each(parts.chunks_mut(out.len()).enumerate().collect(), |(i, out)| {
        let first = i * TASK;
        level.run(Columns { x, width, first, end: width.min(first + TASK), out });
    });
    out.fill(0.0);
    for part in parts.chunks(out.len()) {
        out.iter_mut().zip(part).for_each(|(out, part)| *out += part);
    }
    for i in 0..rows {
        for j in 0..i {
            out[i * rows + j] = out[j * rows + i];
        }
    }
}
