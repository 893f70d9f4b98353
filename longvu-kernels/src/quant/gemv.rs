//! A few rows against quantised weights, in integers.
//!
//! Activations become 16-bit integers with a scale per group, so that a group's products are sums of integers, exact in
//! 32 bits, and floating-point work is one multiplication per group. Offsets, and the base of unsigned 4-bit codes, are
//! products of their own with the sums of the activations.

use super::codes::{Codes, MIDDLE, ScaleRow};
use super::{QuantBits, QuantMatrix};
use crate::gemv::{MAX_ROWS, TASK_BYTES, shape, tasks};
use crate::simd::{Aligned, BLOCK, Kernel, LANES, Level, Simd, Tile};
use crate::threads::for_each;
use core::ops::Range;

/// The greatest activation code. Sums of a group of 128 stay below 128 * 128 * 32,767, a quarter of what fits.
const TOP: f32 = 32_767.0;

/// `R` rows of activations.
struct Activations<const R: usize> {
    /// `[blocks, R, BLOCK]`.
    codes: Vec<Aligned<[[i16; BLOCK]; R]>>,
    /// `[groups / LANES, R, LANES]`.
    scales: Vec<[[f32; LANES]; R]>,
    /// Sums of the group's activations as rounded, as `scales`.
    sums: Vec<[[f32; LANES]; R]>,
}

impl<const R: usize> Activations<R> {
    /// Rows beyond the last are 0.
    fn new(matrix: &QuantMatrix, x: &[f32]) -> Self {
        let (group, vectors) = (matrix.format.group, matrix.stride / LANES);
        let mut codes = vec![Aligned([[0; BLOCK]; R]); matrix.padded() / BLOCK];
        let mut scales = vec![[[0.0; LANES]; R]; vectors];
        let mut sums = vec![[[0.0; LANES]; R]; vectors];
        for (r, row) in x.chunks_exact(matrix.inputs).enumerate() {
            for (g, x) in row.chunks(group).enumerate() {
                let scale = scale(x);
                let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                let mut sum = 0;
                for (i, x) in x.iter().enumerate() {
                    let code = (x * inverse + 0.5f32.copysign(*x)) as i16;
                    codes[(g * group + i) / BLOCK].0[r][i % BLOCK] = code;
                    sum += i32::from(code);
                }
                scales[g / LANES][r][g % LANES] = scale;
                sums[g / LANES][r][g % LANES] = sum as f32 * scale;
            }
        }
        Self { codes, scales, sums }
    }
}

/// The step between codes; NaN if an activation is not finite.
fn scale(x: &[f32]) -> f32 {
    let greatest = x.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    let scale = greatest / TOP;
    // Of subnormal steps the inverse would overflow: such activations count as 0.
    let scale = if scale < f32::MIN_POSITIVE { 0.0 } else { scale };
    if x.iter().all(|x| x.is_finite()) { scale } else { f32::NAN }
}

pub(super) fn gemv_at(level: Level, matrix: &QuantMatrix, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let (rows, outputs) = shape(matrix.inputs, x, bias, out.len());
    assert_eq!(outputs, matrix.outputs, "outputs");
    match rows {
        1 => gemv_rows::<1>(level, matrix, x, bias, out),
        2 => gemv_rows::<2>(level, matrix, x, bias, out),
        3..=MAX_ROWS => gemv_rows::<4>(level, matrix, x, bias, out),
        _ => assert!(rows <= MAX_ROWS, "{rows} rows, of {MAX_ROWS} at most"),
    }
}

fn gemv_rows<const R: usize>(level: Level, matrix: &QuantMatrix, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let activations: Vec<_> = x.chunks(R * matrix.inputs).map(|x| Activations::<R>::new(matrix, x)).collect();
    let bytes = matrix.bytes().div_ceil(matrix.outputs.max(1));
    let count = (TASK_BYTES / bytes.max(1)).max(1);
    for_each(tasks(out, matrix.outputs, count), |mut task| {
        level.run(Rows { matrix, activations: &activations, first: task.first, out: &mut task.out });
        task.add(bias);
    });
}

/// Some weight rows.
struct Rows<'a, 'b, const R: usize> {
    matrix: &'a QuantMatrix,
    /// Of `R` rows each, which the first cache holds.
    activations: &'a [Activations<R>],
    first: usize,
    out: &'a mut [&'b mut [f32]],
}

impl<const R: usize> Kernel for Rows<'_, '_, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        match self.matrix.format.group / BLOCK {
            1 => self.blocks::<S, 1>(s),
            2 => self.blocks::<S, 2>(s),
            _ => self.blocks::<S, 4>(s),
        }
    }
}

impl<const R: usize> Rows<'_, '_, R> {
    /// Groups of `B` blocks. Where the activations are too many for the first cache, some inputs after the other, four
    /// weight rows at once, and the rows after them fetched before their turn, as memory is not read in order.
    #[inline(always)]
    fn blocks<S: Simd, const B: usize>(&mut self, s: S) {
        self.out.iter_mut().for_each(|out| out.fill(0.0));
        // Sixteen groups share a vector of scales.
        let near = S::NEAR / size_of::<i16>();
        let vectors = near / (LANES * B * BLOCK);
        let wide = R == 1 && (S::TILE == Tile::Rows8Vectors2 || self.matrix.padded() > near);
        let mut factors = vec![[[0.0; R]; LANES]; if wide { 4 * vectors } else { vectors }];
        for first in (0..self.matrix.stride / LANES).step_by(vectors) {
            let mut o = 0;
            if wide {
                while o + 4 <= self.out[0].len() {
                    self.add::<S, B, 4>(s, o, first..first + vectors, &mut factors);
                    o += 4;
                }
            }
            for o in o..self.out[0].len() {
                self.add::<S, B, 1>(s, o, first..first + vectors, &mut factors[..vectors]);
            }
        }
    }

    /// Adds the products of `O` weight rows from `first + o`, of the inputs that a range of scale vectors is for.
    #[inline(always)]
    fn add<S: Simd, const B: usize, const O: usize>(
        &mut self,
        s: S,
        o: usize,
        vectors: Range<usize>,
        factors: &mut [[[f32; R]; LANES]],
    ) {
        let (matrix, row) = (self.matrix, self.matrix.padded() / BLOCK);
        let blocks = vectors.start * LANES * B..row.min(vectors.end * LANES * B);
        for (activations, outs) in self.activations.iter().zip(self.out.chunks_mut(R)) {
            let mut corrections = [[0.0; R]; O];
            for (i, factors) in factors.chunks_exact_mut(vectors.len()).enumerate() {
                corrections[i] = activations.scale::<S>(s, matrix, self.first + o + i, vectors.start, factors);
            }
            let part = |i: usize| (self.first + o + i) * row + blocks.start..(self.first + o + i) * row + blocks.end;
            let (x, factors) = (&activations.codes[blocks.clone()], factors.as_flattened());
            let sums = match &matrix.codes {
                Codes::Int8(codes) => {
                    let codes = codes.as_chunks::<BLOCK>().0;
                    let mut rows = [&codes[part(0)]; O];
                    (1..O).for_each(|i| rows[i] = &codes[part(i)]);
                    dot::<S, _, R, B, O>(s, rows, |codes| s.widen_i8(codes), x, factors, row * BLOCK)
                }
                Codes::Int4(codes) => {
                    let codes = codes.as_chunks::<{ BLOCK / 2 }>().0;
                    let mut rows = [&codes[part(0)]; O];
                    (1..O).for_each(|i| rows[i] = &codes[part(i)]);
                    dot::<S, _, R, B, O>(s, rows, |codes| s.widen_u4(codes), x, factors, row * BLOCK / 2)
                }
            };
            for (r, out) in outs.iter_mut().enumerate() {
                for i in 0..O {
                    out[o + i] += sums[i][r] + corrections[i][r];
                }
            }
        }
    }
}

impl<const R: usize> Activations<R> {
    /// Writes the products of the scales of weights and activations, `[groups, R]`, from the vector `first`; returns what
    /// their offsets add.
    #[inline(always)]
    fn scale<S: Simd>(
        &self,
        s: S,
        matrix: &QuantMatrix,
        output: usize,
        first: usize,
        factors: &mut [[[f32; R]; LANES]],
    ) -> [f32; R] {
        let scales = matrix.scales.row(output, matrix.stride);
        let offsets = matrix.offsets.as_ref().map(|offsets| offsets.row(output, matrix.stride));
        let base = match matrix.format.bits {
            QuantBits::Int8 => 0.0,
            QuantBits::Int4 => -MIDDLE,
        };
        let mut corrections = [s.splat(0.0); R];
        let activations = self.scales[first..].iter().zip(&self.sums[first..]);
        for (i, ((x_scales, x_sums), factors)) in (first..).zip(activations.zip(factors)) {
            let scale = load_scales(s, scales, i);
            let offset = match offsets {
                Some(offsets) => load_scales(s, offsets, i),
                None => s.mul(scale, s.splat(base)),
            };
            for r in 0..R {
                let mut lanes = [0.0; LANES];
                s.store(&mut lanes, s.mul(scale, s.load(&x_scales[r])));
                for (factor, lane) in factors.iter_mut().zip(lanes) {
                    factor[r] = lane;
                }
                corrections[r] = s.fma(offset, s.load(&x_sums[r]), corrections[r]);
            }
        }
        let mut out = [0.0; R];
        for r in 0..R {
            out[r] = s.sum(corrections[r]);
        }
        out
    }
}

/// The scales of sixteen groups.
#[inline(always)]
pub(super) fn load_scales<S: Simd>(s: S, row: ScaleRow<'_>, vector: usize) -> S::F {
    match row {
        ScaleRow::F32(row) => s.load(&row.as_chunks::<LANES>().0[vector]),
        ScaleRow::F16(row) => s.load_f16(&row.as_chunks::<LANES>().0[vector]),
    }
}

/// `O` weight rows, `C` being the codes of a block, against `R` rows. Factors are `[O, groups]`, with room for more groups;
/// `stride` is the bytes from a weight row to the next.
#[inline(always)]
fn dot<S: Simd, C, const R: usize, const B: usize, const O: usize>(
    s: S,
    rows: [&[C]; O],
    widen: impl Fn(&C) -> S::W,
    x: &[Aligned<[[i16; BLOCK]; R]>],
    factors: &[[f32; R]],
    stride: usize,
) -> [[f32; R]; O] {
    let x = x.as_chunks::<B>().0;
    let (mut groups, mut scales) = ([&[][..]; O], [&[][..]; O]);
    for o in 0..O {
        groups[o] = &rows[o].as_chunks::<B>().0[..x.len()];
        scales[o] = &factors[factors.len() / O * o..][..x.len()];
    }
    let mut sums = [[s.zero_p(); R]; O];
    for (g, x) in x.iter().enumerate() {
        for o in 0..O {
            let (codes, factors) = (&groups[o][g], &scales[o][g]);
            let mut products = [s.zero_i(); R];
            for b in 0..B {
                if O > 1 {
                    s.prefetch(&codes[b], O * stride);
                }
                let weights = widen(&codes[b]);
                for r in 0..R {
                    products[r] = s.dot_i(weights, &x[b].0[r], products[r]);
                }
            }
            for r in 0..R {
                sums[o][r] = s.fma_i(products[r], factors[r], sums[o][r]);
            }
        }
    }
    let mut out = [[0.0; R]; O];
    for o in 0..O {
        for r in 0..R {
            out[o][r] = s.sum_p(sums[o][r]);
        }
    }
    out
}
