//! Weights as 8-bit or 4-bit integers, in groups that share a scale.

#[cfg(target_arch = "x86_64")]
mod activations;
mod codes;
mod gemv;
#[cfg(target_arch = "x86_64")]
mod tiles;
#[cfg(target_arch = "x86_64")]
mod words;
#[cfg(target_arch = "x86_64")]
pub(crate) use tiles::multiply as multiply_quantised;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
pub(crate) use tiles::multiply_on_amx;

use crate::simd::{BLOCK, LANES, Level};
use codes::Codes;
use half::f16;
use rayon::prelude::*;

/// Bits of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuantBits {
    /// 8.
    Int8,
    /// 4; two weights to a byte.
    Int4,
}

/// How scales and offsets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScaleType {
    /// Single precision.
    F32,
    /// Half precision: weights up to 1e5, and precise where a group's greatest weight is above 1e-3 (4 bits) or 1e-2
    /// (8 bits).
    F16,
}

/// A storage format. Weights are `code * scale`, or, if affine, `code * scale + offset`, with one scale and offset for
/// `group` neighbouring inputs of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QuantFormat {
    /// Bits of a code.
    pub bits: QuantBits,
    /// 32, 64 or 128.
    pub group: usize,
    /// Whether groups have an offset: a quarter to a half of the rounding error for groups that are not centred.
    pub affine: bool,
    /// The type of scales and offsets.
    pub scales: ScaleType,
}

/// One number per group.
#[derive(Clone, Debug)]
enum Scales {
    F32(Vec<f32>),
    F16(Vec<u16>),
}

impl Scales {
    fn new(kind: ScaleType, values: Vec<f32>) -> Self {
        match kind {
            ScaleType::F32 => Self::F32(values),
            ScaleType::F16 => Self::F16(values.into_iter().map(|x| f16::from_f32(x).to_bits()).collect()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(&values[..]),
            Self::F16(values) => size_of_val(&values[..]),
        }
    }

    fn get(&self, i: usize) -> f32 {
        match self {
            Self::F32(values) => values[i],
            Self::F16(values) => f16::from_bits(values[i]).to_f32(),
        }
    }
}

/// A quantised weight matrix `[outputs, inputs]`. Rows are padded to whole groups.
#[derive(Clone, Debug)]
pub struct QuantMatrix {
    format: QuantFormat,
    outputs: usize,
    inputs: usize,
    /// Groups of a row, rounded up so that scales are whole vectors.
    stride: usize,
    /// `[outputs, groups, group]`.
    codes: Codes,
    /// `[outputs, stride]`.
    scales: Scales,
    offsets: Option<Scales>,
}

impl QuantMatrix {
    /// Quantises `[outputs, inputs]` weights.
    ///
    /// # Panics
    /// If the group is not 32, 64 or 128, or the lengths do not fit.
    #[must_use]
    pub fn quantize(format: QuantFormat, weights: &[f32], inputs: usize) -> Self {
        assert!(inputs > 0 && weights.len().is_multiple_of(inputs), "rows of {inputs} in {}", weights.len());
        Self::quantize_with(format, weights.len() / inputs, inputs, |output, row| {
            row.copy_from_slice(&weights[output * inputs..][..inputs]);
        })
    }

    /// Quantises rows that `read` writes, called with an output's number and room for its weights: for weights that are
    /// not `f32`, or not all in memory. Several threads call it.
    ///
    /// # Panics
    /// If the group is not 32, 64 or 128, or there are no inputs.
    #[must_use]
    pub fn quantize_with(
        format: QuantFormat,
        outputs: usize,
        inputs: usize,
        read: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        assert!(matches!(format.group, 32 | 64 | 128), "groups of {}", format.group);
        assert!(inputs > 0, "no inputs");
        let groups = inputs.div_ceil(format.group);
        let stride = groups.next_multiple_of(LANES);
        let mut codes = Codes::new(format.bits, outputs * groups * format.group);
        let mut scales = vec![0.0; outputs * stride];
        let mut offsets = vec![0.0; outputs * stride];
        let rows = scales.par_chunks_mut(stride).zip(offsets.par_chunks_mut(stride));
        let rows = codes.rows(groups * format.group).into_par_iter().zip(rows);
        rows.enumerate().for_each(|(output, (mut codes, (scales, offsets)))| {
            let mut row = vec![0.0; groups * format.group];
            read(output, &mut row[..inputs]);
            for (g, group) in row.chunks_exact(format.group).enumerate() {
                // Padding takes no part in choosing the scale.
                let real = &group[..(inputs - g * format.group).min(format.group)];
                (scales[g], offsets[g]) = codes::fit(format, real);
                codes.encode(g * format.group, group, scales[g], offsets[g], format.affine);
            }
        });
        let offsets = format.affine.then(|| Scales::new(format.scales, offsets));
        Self { format, outputs, inputs, stride, codes, scales: Scales::new(format.scales, scales), offsets }
    }

    /// The storage format.
    #[must_use]
    pub fn format(&self) -> QuantFormat {
        self.format
    }

    /// Rows of the matrix.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Memory that the weights take, padding included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.codes.bytes() + self.scales.bytes() + self.offsets.as_ref().map_or(0, Scales::bytes)
    }

    /// The elements of a padded row.
    fn padded(&self) -> usize {
        self.inputs.next_multiple_of(self.format.group)
    }

    /// The weights of `out.len() / inputs` outputs from `first`, as `f32`.
    ///
    /// # Panics
    /// If `out` is not whole rows, or the matrix has fewer.
    pub fn dequantize(&self, first: usize, out: &mut [f32]) {
        self.dequantize_at(Level::best(), first, out);
    }

    /// `out = x · weightsᵀ + bias`: x `[rows, inputs]` of 1 to [`MAX_ROWS`](crate::MAX_ROWS) rows, bias `[outputs]`, out
    /// `[rows, outputs]`.
    ///
    /// Activations are rounded to 16-bit integers, by groups as the weights: an error of 1.6e-5 of the group's greatest
    /// activation at most, a hundredth of what 8-bit weights lose. A group with an infinity or a NaN gives NaN.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn gemv(&self, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        gemv::gemv_at(Level::best(), self, x, bias, out);
    }

    #[cfg(test)]
    pub(crate) fn gemv_at(&self, level: Level, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
        gemv::gemv_at(level, self, x, bias, out);
    }
}

/// No other architecture has tiles of integers here: whether there was a product, which there never is.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn multiply_quantised(_: crate::Isa, _: &[&QuantMatrix], _: &[f32], _: &mut crate::tiles::Sink<'_>) -> bool {
    false
}

const _: () = assert!(BLOCK == 2 * LANES);
