//! Activations as 8-bit integers.

use crate::simd::{Kernel, LANES, Simd, with_chunk};
use crate::tiles::lines::{Line, Words};

/// Inputs of a word.
pub(super) const QUAD: usize = 4;

/// The greatest activation code.
const TOP: f32 = 127.0;

/// What activation codes stand above their meaning, as one operand of the products is unsigned.
pub(super) const ABOVE: i32 = 128;

/// Activations, by tiles of rows.
#[derive(Default)]
pub(super) struct Activations {
    /// `[words, rows of the tile]` of each tile.
    pub(super) codes: Vec<u32>,
    /// `[groups, rows of the tile]` of each tile.
    pub(super) scales: Vec<f32>,
    /// Sums of a group's activations, as `scales`.
    pub(super) sums: Vec<f32>,
}

/// Finds the steps of activation codes: of `x` `[rows, inputs]` their inverses `[rows, groups]`, and themselves
/// `[groups, rows]`. A group with an infinity or a NaN has a step of NaN.
pub(super) struct Scale<'a> {
    pub(super) x: &'a [f32],
    pub(super) inputs: usize,
    pub(super) group: usize,
    pub(super) inverses: &'a mut [f32],
    pub(super) scales: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let groups = self.inputs.div_ceil(self.group);
        let rows = self.x.len() / self.inputs;
        for (r, row) in self.x.chunks_exact(self.inputs).enumerate() {
            for (g, x) in row.chunks(self.group).enumerate() {
                let (blocks, rest) = x.as_chunks::<LANES>();
                let rest = s.load_part(rest, 0.0);
                let zero = s.splat(0.0);
                let (mut max, mut finite) = (s.abs(rest), s.mul(rest, zero));
                for x in blocks {
                    let x = s.load(x);
                    max = s.max(s.abs(x), max);
                    finite = s.fma(x, zero, finite);
                }
                let scale = s.max_lane(max) / TOP;
                // Of subnormal steps the inverse would overflow: such activations count as 0.
                let scale = if scale < f32::MIN_POSITIVE { 0.0 } else { scale };
                self.inverses[r * groups + g] = if scale > 0.0 { 1.0 / scale } else { 0.0 };
                self.scales[g * rows + r] = scale + s.sum(finite);
            }
        }
    }
}

/// Activations as codes, four to a word.
pub(super) struct Quantized<'a> {
    pub(super) x: &'a [f32],
    pub(super) inputs: usize,
    pub(super) group: usize,
    /// `[rows, groups]`.
    pub(super) inverses: &'a [f32],
}

impl Words for Quantized<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        let (first, groups) = (word * QUAD, self.inputs.div_ceil(self.group));
        let inverses = &self.inverses[row * groups..][..groups];
        let of = |input: usize| inverses.get(input / self.group).copied().unwrap_or_default();
        let factors = [of(first), of(first + QUAD * LANES / 2)];
        let row = &self.x[row * self.inputs..][..self.inputs];
        with_chunk(&row[row.len().min(first)..], |x| s.quantize_u8(x, factors, out));
    }
}

/// What groups of activations sum up to, codes `[words, rows]`.
pub(super) fn sum_groups(codes: &[u32], rows: usize, group: usize, scales: &[f32], sums: &mut [f32]) {
    for (i, (sum, scale)) in sums.iter_mut().zip(scales).enumerate() {
        let (g, r) = (i / rows, i % rows);
        let words = (g * group..(g + 1) * group).flat_map(|word| codes[word * rows + r].to_le_bytes());
        *sum = words.map(|code| i32::from(code) - ABOVE).sum::<i32>() as f32 * scale;
    }
}
