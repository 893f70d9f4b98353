//! Integers of weights: how they are chosen, stored and read.

mod fit;

use super::{QuantBits, QuantFormat, QuantMatrix, ScaleType, Scales};
use crate::simd::{BLOCK, Kernel, LANES, Level, Simd};
use crate::threads::for_rows;

pub(super) use fit::fit;

/// What 4-bit codes of symmetric groups stand above their meaning: they are stored as 0 to 15, and mean -8 to 7.
pub(super) const MIDDLE: f32 = 8.0;

/// The codes of a matrix.
#[derive(Clone, Debug)]
pub(super) enum Codes {
    Int8(Vec<i8>),
    /// Of 32 weights, 16 bytes: byte `j` has weight `j` in its low half and weight `j + 16` in its high half.
    Int4(Vec<u8>),
}

/// The codes of a row.
pub(super) enum RowCodes<'a> {
    Int8(&'a mut [i8]),
    Int4(&'a mut [u8]),
}

impl Codes {
    pub(super) fn new(bits: QuantBits, len: usize) -> Self {
        match bits {
            QuantBits::Int8 => Self::Int8(vec![0; len]),
            QuantBits::Int4 => Self::Int4(vec![0; len / 2]),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Int8(codes) => codes.len(),
            Self::Int4(codes) => codes.len(),
        }
    }

    pub(super) fn rows(&mut self, padded: usize) -> Vec<RowCodes<'_>> {
        match self {
            Self::Int8(codes) => codes.chunks_mut(padded).map(RowCodes::Int8).collect(),
            Self::Int4(codes) => codes.chunks_mut(padded / 2).map(RowCodes::Int4).collect(),
        }
    }
}

/// A number whose last bits are the integer nearest to `x`, for `x` added to it.
const ROUNDER: f32 = 12_582_912.0;

impl RowCodes<'_> {
    /// Encodes a group that starts at `first`.
    pub(super) fn encode(&mut self, first: usize, group: &[f32], scale: f32, offset: f32, affine: bool) {
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let out = match self {
            Self::Int8(codes) => RowCodes::Int8(&mut codes[first..first + group.len()]),
            Self::Int4(codes) => RowCodes::Int4(&mut codes[first / 2..(first + group.len()) / 2]),
        };
        Level::best().run(Encode { group, inverse, offset, base: if affine { 0.0 } else { MIDDLE }, out });
    }
}

/// A group's codes, by plain code that the compiler vectorises for the level.
struct Encode<'a> {
    group: &'a [f32],
    inverse: f32,
    offset: f32,
    /// What 4-bit codes are stored above their meaning.
    base: f32,
    out: RowCodes<'a>,
}

impl Kernel for Encode<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { group, inverse, offset, base, out } = self;
        let code = |x: f32, base: f32, least: f32, most: f32| {
            let code = ((x - offset) * inverse + base).max(least).min(most);
            (code + ROUNDER).to_bits() as u8
        };
        match out {
            RowCodes::Int8(out) => {
                for (out, &x) in out.iter_mut().zip(group) {
                    *out = code(x, 0.0, -128.0, 127.0) as i8;
                }
            }
            RowCodes::Int4(out) => {
                let (blocks, groups) = (out.as_chunks_mut::<LANES>().0, group.as_chunks::<BLOCK>().0);
                for (out, block) in blocks.iter_mut().zip(groups) {
                    for j in 0..LANES {
                        out[j] = code(block[j], base, 0.0, 15.0) | code(block[j + LANES], base, 0.0, 15.0) << 4;
                    }
                }
            }
        }
    }
}

impl QuantMatrix {
    pub(crate) fn dequantize_at(&self, level: Level, first: usize, out: &mut [f32]) {
        assert!(out.len().is_multiple_of(self.inputs), "rows of {} in {}", self.inputs, out.len());
        assert!(first + out.len() / self.inputs <= self.outputs, "rows of {}", self.outputs);
        for_rows(out, self.inputs, |start, chunk| {
            for (i, row) in chunk.chunks_exact_mut(self.inputs).enumerate() {
                level.run(Dequantize { matrix: self, output: first + start + i, row });
            }
        });
    }
}

impl QuantMatrix {
    /// Sixteen weights of a row from `first`, a multiple of sixteen; 0 beyond the last. Plain code, which the compiler vectorises
    /// for the level that calls it.
    #[inline(always)]
    pub(super) fn decode(&self, output: usize, first: usize, out: &mut [f32; LANES]) {
        let rest = self.inputs.saturating_sub(first);
        if rest == 0 {
            out.fill(0.0);
            return;
        }
        let group = output * self.stride + (first as u32 / self.format.group as u32) as usize;
        let scale = self.scales.get(group);
        let start = output * self.padded() + first;
        match &self.codes {
            Codes::Int8(codes) => {
                let offset = self.offsets.as_ref().map_or(0.0, |offsets| offsets.get(group));
                if let Some(codes) = codes[start..].first_chunk::<LANES>() {
                    for i in 0..LANES {
                        out[i] = f32::from(codes[i]) * scale + offset;
                    }
                }
            }
            Codes::Int4(codes) => {
                let offset = self.offsets.as_ref().map_or(-MIDDLE * scale, |offsets| offsets.get(group));
                // A block's first half lies in the lower halves of its bytes.
                let shift = if first.is_multiple_of(BLOCK) { 0 } else { 4 };
                if let Some(codes) = codes[start / BLOCK * LANES..].first_chunk::<LANES>() {
                    for i in 0..LANES {
                        out[i] = f32::from(codes[i] >> shift & 15) * scale + offset;
                    }
                }
            }
        }
        // What pads a row need not be 0, where groups have offsets.
        if rest < LANES {
            out[rest..].fill(0.0);
        }
    }
}

/// A row, by plain code that the compiler vectorises for the level.
struct Dequantize<'a> {
    matrix: &'a QuantMatrix,
    output: usize,
    row: &'a mut [f32],
}

impl Kernel for Dequantize<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { matrix, output, row } = self;
        let mut weights = [0.0; LANES];
        for (i, out) in row.chunks_mut(LANES).enumerate() {
            matrix.decode(output, i * LANES, &mut weights);
            out.copy_from_slice(&weights[..out.len()]);
        }
    }
}

/// The scales of some row, sixteen at a time.
#[derive(Clone, Copy)]
pub(super) enum ScaleRow<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
}

impl Scales {
    pub(super) fn row(&self, output: usize, stride: usize) -> ScaleRow<'_> {
        match self {
            Self::F32(values) => ScaleRow::F32(&values[output * stride..][..stride]),
            Self::F16(values) => ScaleRow::F16(&values[output * stride..][..stride]),
        }
    }
}
