//! Rows of quantised weights as words, of one matrix after another.

use super::QuantMatrix;
use super::activations::QUAD;
use super::codes::{Codes, MIDDLE};
use crate::simd::{LANES, Simd, with_chunk};
use crate::tiles::lines::{Line, Words, prefetch};

/// The matrix, and its row, that a row of several is.
pub(super) fn row_of<'a>(matrices: &[&'a QuantMatrix], row: usize) -> (&'a QuantMatrix, usize) {
    let first = matrices[0].outputs;
    if row < first { (matrices[0], row) } else { (matrices[1], row - first) }
}

/// Weights as pairs of bfloat16.
pub(super) struct Pairs<'a>(pub(super) &'a [&'a QuantMatrix]);

impl Words for Pairs<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        let (mut low, mut high) = ([0.0; LANES], [0.0; LANES]);
        let (matrix, row) = row_of(self.0, row);
        matrix.decode(row, 2 * word, &mut low);
        matrix.decode(row, 2 * word + LANES, &mut high);
        with_chunk([low, high].as_flattened(), |weights| s.round_bf16(weights, out));
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        Quads(self.0).prefetch::<SOON>(row, word / 2);
    }
}

/// Weights as `f32`.
pub(super) struct Single<'a>(pub(super) &'a [&'a QuantMatrix]);

impl Words for Single<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, _: S, row: usize, word: usize, out: &mut Line) {
        let mut weights = [0.0; LANES];
        let (matrix, row) = row_of(self.0, row);
        matrix.decode(row, word, &mut weights);
        *out = weights.map(f32::to_bits);
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        Quads(self.0).prefetch::<SOON>(row, word / QUAD);
    }
}

/// Codes of weights, four to a word.
pub(super) struct Quads<'a>(pub(super) &'a [&'a QuantMatrix]);

impl Words for Quads<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        let (matrix, row) = row_of(self.0, row);
        let padded = matrix.padded();
        let (first, end) = (row * padded + (word * QUAD).min(padded), (row + 1) * padded);
        match &matrix.codes {
            Codes::Int8(codes) => {
                with_chunk(&codes[first..end], |bytes: &[i8; QUAD * LANES]| {
                    for (out, quad) in out.iter_mut().zip(bytes.as_chunks::<QUAD>().0) {
                        *out = u32::from_le_bytes(quad.map(i8::cast_unsigned));
                    }
                });
            }
            Codes::Int4(codes) => {
                let base = if matrix.offsets.is_some() { 0 } else { MIDDLE as u8 };
                with_chunk(&codes[first / 2..end / 2], |bytes| s.widen_nibbles(bytes, base, out));
            }
        }
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        let (matrix, row) = row_of(self.0, row);
        let first = row * matrix.padded() + word * QUAD;
        match &matrix.codes {
            Codes::Int8(codes) => prefetch::<SOON, _>(codes.as_ptr().wrapping_add(first)),
            Codes::Int4(codes) => prefetch::<SOON, _>(codes.as_ptr().wrapping_add(first / 2)),
        }
    }
}
