//! Products of every row with every row, in one pass over memory.

use crate::simd::{Aligned, Kernel, LANES, Level, Simd, Tile};
use crate::threads::for_each;

/// Vectors of a row that are multiplied at a time: those of 16 rows fill half of the first cache.
const TILE: usize = 16;

/// Vectors of the next tile that are asked for before each block.
const FETCH: usize = 8;

/// Columns of a task. The cuts are also where sums of `f32` end and those of `f64` begin.
const TASK: usize = 8192;

/// The products of some columns.
struct Columns<'a> {
    x: &'a [f32],
    width: usize,
    first: usize,
    end: usize,
    /// `[rows, rows]`, of which `j >= i` is written.
    out: &'a mut [f64],
}

impl Kernel for Columns<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if S::TILE == Tile::Rows8Vectors2 {
            self.tiles::<S, 4>(s);
        } else {
            self.tiles::<S, 2>(s);
        }
    }
}

impl Columns<'_> {
    /// Multiplies `N` rows by `N` rows at a time, whose sums stay in registers for a tile.
    #[inline(always)]
    fn tiles<S: Simd, const N: usize>(self, s: S) {
        let rows = self.x.len() / self.width;
        let padded = rows.next_multiple_of(N);
        let blocks = || (0..rows).step_by(N).flat_map(|i| (i..rows).step_by(N).map(move |j| (i, j)));
        let mut tile = vec![Aligned([0.0; LANES]); TILE * padded];
        let mut sums = vec![[[s.splat(0.0); N]; N]; blocks().count()];
        for first in (self.first..self.end).step_by(TILE * LANES) {
            self.copy(first, &mut tile, padded);
            for (block, ((i, j), sums)) in blocks().zip(&mut sums).enumerate() {
                self.fetch(s, first + TILE * LANES, block * FETCH);
                add_products(s, tile.chunks_exact(padded), (i, j), sums);
            }
        }
        for ((i, j), sums) in blocks().zip(sums) {
            for k in 0..N.min(rows - i) {
                for l in 0..N.min(rows - j) {
                    self.out[(i + k) * rows + j + l] = f64::from(s.sum(sums[k][l]));
                }
            }
        }
    }

    /// Asks for a few vectors of the tile from column `first`, of which `vector` is the first.
    #[inline(always)]
    fn fetch<S: Simd>(&self, s: S, first: usize, vector: usize) {
        let row = vector / TILE * self.width;
        if let Some(x) = self.x.get(row + first + vector % TILE * LANES) {
            for k in 0..FETCH {
                s.prefetch(x, k * LANES * size_of::<f32>());
            }
        }
    }

    /// Copies a tile's columns, vector by vector with the rows side by side, and 0 beyond the last column.
    ///
    /// Where they lie they would fight for the same few lines of a cache: rows of a frame's features are whole pages.
    #[inline(always)]
    fn copy(&self, first: usize, tile: &mut [Aligned<[f32; LANES]>], padded: usize) {
        let end = self.end.min(first + TILE * LANES);
        if end < first + TILE * LANES {
            tile.fill(Aligned([0.0; LANES]));
        }
        for (i, row) in self.x.chunks_exact(self.width).enumerate() {
            let (vectors, rest) = row[first..end].as_chunks::<LANES>();
            for (t, vector) in vectors.iter().enumerate() {
                tile[t * padded + i].0 = *vector;
            }
            if !rest.is_empty() {
                tile[vectors.len() * padded + i].0[..rest.len()].copy_from_slice(rest);
            }
        }
    }
}

/// Adds the products of `N` rows from row `i` and `N` rows from row `j` of a tile.
#[inline(always)]
fn add_products<'a, S: Simd, const N: usize>(
    s: S,
    tile: impl Iterator<Item = &'a [Aligned<[f32; LANES]>]>,
    (i, j): (usize, usize),
    sums: &mut [[S::F; N]; N],
) {
    let mut local = *sums;
    for vectors in tile {
        let (left, right) = (&vectors[i..i + N], &vectors[j..j + N]);
        let mut columns = [s.splat(0.0); N];
        for l in 0..N {
            columns[l] = s.load(&right[l].0);
        }
        for k in 0..N {
            let row = s.load(&left[k].0);
            for l in 0..N {
                local[k][l] = s.fma(row, columns[l], local[k][l]);
            }
        }
    }
    *sums = local;
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
