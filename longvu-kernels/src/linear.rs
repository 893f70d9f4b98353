//! Linear layers of any number of rows: few rows stream the weights, many go through a matrix product.

use crate::QuantMatrix;
use crate::elementwise::{AddRow, add_bias};
use crate::gemv::{MAX_ROWS, gemv_bf16, gemv_f16, gemv_f32, shape};
use crate::isa::Isa;
use crate::product::{Matrix, Product, multiply_into};
use crate::quant::multiply_int8;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;
use crate::tiles::{Weights, multiply_dense};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Outputs whose weights are turned into `f32` at a time: some 14 MB for 3,584 inputs, which the last cache holds.
const PANEL: usize = 1024;

/// A weight matrix `[outputs, inputs]` as it is stored.
#[derive(Clone, Copy, Debug)]
pub enum WeightMatrix<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
    /// Groups of integers.
    Quant(&'a QuantMatrix),
}

impl WeightMatrix<'_> {
    /// The weights of `out.len() / inputs` outputs from `first`, as `f32`.
    fn read(&self, first: usize, inputs: usize, out: &mut [f32]) {
        let level = Level::best();
        let range = first * inputs..first * inputs + out.len();
        match self {
            Self::F32(weights) => out.copy_from_slice(&weights[range]),
            Self::F16(weights) => {
                let weights: &[u16] = weights[range].reinterpret_cast();
                for_rows(out, inputs, |i, out| level.run(Widen::<true> { bits: &weights[i * inputs..], out }));
            }
            Self::Bf16(weights) => {
                let weights: &[u16] = weights[range].reinterpret_cast();
                for_rows(out, inputs, |i, out| level.run(Widen::<false> { bits: &weights[i * inputs..], out }));
            }
            Self::Quant(matrix) => matrix.dequantize(first, out),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::F32(weights) => weights.len(),
            Self::F16(weights) => weights.len(),
            Self::Bf16(weights) => weights.len(),
            Self::Quant(matrix) => matrix.outputs() * matrix.inputs(),
        }
    }
}

/// Half precision (`F16`) or bfloat16 to `f32`.
struct Widen<'a, const F16: bool> {
    bits: &'a [u16],
    out: &'a mut [f32],
}

impl<const F16: bool> Kernel for Widen<'_, F16> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let load = |bits: &[u16; LANES]| if F16 { s.load_f16(bits) } else { s.load_bf16(bits) };
        let bits = &self.bits[..self.out.len()];
        let ((outs, out_rest), (blocks, rest)) = (self.out.as_chunks_mut::<LANES>(), bits.as_chunks::<LANES>());
        for (out, block) in outs.iter_mut().zip(blocks) {
            s.store(out, load(block));
        }
        let mut last = [0; LANES];
        last[..rest.len()].copy_from_slice(rest);
        s.store_part(out_rest, load(&last));
    }
}

/// `out = x · weightsᵀ + bias`: weights `[outputs, inputs]`, x `[rows, inputs]`, bias `[outputs]`, out `[rows, outputs]`.
///
/// Up to [`MAX_ROWS`] rows read the weights once, as they are stored; more are multiplied in `f32`, weights of other
/// types turned into it a panel at a time.
///
/// # Panics
/// If the lengths do not fit.
pub fn linear(weights: WeightMatrix<'_>, inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let (rows, outputs) = shape(inputs, x, bias, out);
    assert_eq!(weights.len(), outputs * inputs, "weights of {outputs} x {inputs}");
    if rows <= MAX_ROWS {
        return match weights {
            WeightMatrix::F32(weights) => gemv_f32(weights, inputs, x, bias, out),
            WeightMatrix::F16(weights) => gemv_f16(weights, inputs, x, bias, out),
            WeightMatrix::Bf16(weights) => gemv_bf16(weights, inputs, x, bias, out),
            WeightMatrix::Quant(matrix) => matrix.gemv(x, bias, out),
        };
    }
    let finish = |first: usize, part: &mut [f32]| {
        if let Some(bias) = bias {
            let delta = &bias[first..first + part.len()];
            Level::best().run(AddRow { row: part, delta, scale: None });
        }
    };
    let isa = Isa::used();
    let done = match weights {
        WeightMatrix::F32(weights) => multiply_dense(isa, Weights::F32(weights), inputs, x, out, finish),
        WeightMatrix::F16(bits) => multiply_dense(isa, Weights::F16(bits.reinterpret_cast()), inputs, x, out, finish),
        WeightMatrix::Bf16(bits) => multiply_dense(isa, Weights::Bf16(bits.reinterpret_cast()), inputs, x, out, finish),
        WeightMatrix::Quant(matrix) => multiply_int8(isa, matrix, x, out, finish),
    };
    if done {
        return;
    }
    if let WeightMatrix::F32(weights) = weights {
        multiply(x, weights, inputs, out, outputs, 0);
    } else {
        let mut panel = vec![0.0; PANEL.min(outputs) * inputs];
        for first in (0..outputs).step_by(PANEL) {
            let panel = &mut panel[..PANEL.min(outputs - first) * inputs];
            weights.read(first, inputs, panel);
            multiply(x, panel, inputs, out, outputs, first);
        }
    }
    if let Some(bias) = bias {
        add_bias(out, bias);
    }
}

/// `out[.., first..] = x · panelᵀ`: x `[rows, inputs]`, panel `[count, inputs]`, out `[rows, outputs]`.
fn multiply(x: &[f32], panel: &[f32], inputs: usize, out: &mut [f32], outputs: usize, first: usize) {
    let (rows, count) = (x.len() / inputs, panel.len() / inputs);
    let (x, panel) = (Matrix::new(x, [rows, inputs], inputs), Matrix::new(panel, [count, inputs], inputs));
    multiply_into(&mut out[first..], outputs, x, panel.transposed(), Product::default());
}
