//! Linear layers of any number of rows: few rows stream the weights, many go through a matrix product.

use crate::QuantMatrix;
use crate::elementwise::add_bias;
use crate::gemv::{MAX_ROWS, gemv_bf16, gemv_f16, gemv_f32, shape};
use crate::isa::Isa;
use crate::product::{Matrix, Product, multiply_into};
use crate::quant::multiply_quantised;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;
use crate::tiles::{Activation, Kind, Sink, Weights, multiply_dense};
use core::mem::MaybeUninit;
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

    fn quantised(&self) -> Option<&QuantMatrix> {
        if let Self::Quant(matrix) = self { Some(matrix) } else { None }
    }

    fn dense(&self) -> Option<Weights<'_>> {
        match self {
            Self::F32(weights) => Some(Weights::F32(weights)),
            Self::F16(weights) => Some(Weights::F16(weights.reinterpret_cast())),
            Self::Bf16(weights) => Some(Weights::Bf16(weights.reinterpret_cast())),
            Self::Quant(_) => None,
        }
    }

    /// Whether both are stored in the same way.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quant(a), Self::Quant(b)) => a.format() == b.format(),
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }

    /// The number of outputs.
    ///
    /// # Panics
    /// If there are not so many inputs.
    fn outputs(&self, inputs: usize) -> usize {
        let len = match self {
            Self::F32(weights) => weights.len(),
            Self::F16(weights) => weights.len(),
            Self::Bf16(weights) => weights.len(),
            Self::Quant(matrix) => {
                assert_eq!(matrix.inputs(), inputs, "inputs of the weights");
                return matrix.outputs();
            }
        };
        assert!(inputs > 0 && len.is_multiple_of(inputs), "{len} weights of {inputs} inputs");
        len / inputs
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
/// Up to [`MAX_ROWS`] rows read the weights once, as they are stored. More are rounded to bfloat16 for weights in it and to
/// 8-bit integers for quantised weights, where the machine has instructions for such products ([`Isa::bf16_products`],
/// [`Isa::int8_products`]); with AMX quantised weights, too, meet them in bfloat16. Else they are multiplied in `f32`.
///
/// # Panics
/// If the lengths do not fit.
pub fn linear(weights: WeightMatrix<'_>, inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let (rows, outputs) = shape(inputs, x, bias, out.len());
    assert_eq!(weights.outputs(inputs), outputs, "outputs of the weights");
    // SAFETY: tiles write nothing but outputs.
    let in_tiles =
        |out| multiply_in_tiles(&[weights], inputs, x, unsafe { to_write(out) }, Kind::Plain(bias, Activation::None));
    if rows <= MAX_ROWS || !in_tiles(&mut *out) {
        multiply_otherwise(weights, inputs, x, out, (bias, Activation::None));
    }
}

/// [`linear`], and an activation of its outputs, which are returned: `[rows, outputs]`.
///
/// # Panics
/// If the lengths do not fit.
#[must_use]
pub fn linear_activated(
    weights: WeightMatrix<'_>,
    inputs: usize,
    x: &[f32],
    bias: Option<&[f32]>,
    activation: Activation,
) -> Vec<f32> {
    let len = weights.outputs(inputs) * (x.len() / inputs);
    let (rows, _) = shape(inputs, x, bias, len);
    let tiles = |out: &mut _| multiply_in_tiles(&[weights], inputs, x, out, Kind::Plain(bias, activation));
    written(rows, len, tiles).unwrap_or_else(|| {
        let mut out = vec![0.0; len];
        multiply_otherwise(weights, inputs, x, &mut out, (bias, activation));
        out
    })
}

/// `silu(gate) * up` of two layers, whose weights are two matrices `[inner, inputs]`, or the rows of one, those of the gate
/// first: x `[rows, inputs]`, biases `[inner]`; returns `[rows, inner]`. Of a few rows, or where there are no tiles for such
/// weights, nothing is computed.
///
/// # Panics
/// If the lengths do not fit.
#[must_use]
pub fn linear_gated(
    weights: &[WeightMatrix<'_>],
    inputs: usize,
    x: &[f32],
    biases: Option<[&[f32]; 2]>,
) -> Option<Vec<f32>> {
    let inner = match weights {
        [fused] => {
            let outputs = fused.outputs(inputs);
            assert!(outputs.is_multiple_of(2), "gate and up in {outputs} outputs");
            outputs / 2
        }
        _ => {
            assert_eq!(weights.len(), 2, "weights of gate and up");
            let inner = weights[0].outputs(inputs);
            assert_eq!(weights[1].outputs(inputs), inner, "outputs of gate and up");
            inner
        }
    };
    let len = inner * (x.len() / inputs);
    let (rows, _) = shape(inputs, x, biases.map(|biases| biases[0]), len);
    assert!(biases.is_none_or(|biases| biases[1].len() == inner), "bias of {inner} outputs");
    if !weights.iter().all(|other| weights[0].is_like(other)) {
        return None;
    }
    written(rows, len, |out| multiply_in_tiles(weights, inputs, x, out, Kind::Gated(biases)))
}

/// `len` elements that `multiply` writes; `None` if it does not, or if there are few rows.
fn written(rows: usize, len: usize, multiply: impl FnOnce(&mut [MaybeUninit<f32>]) -> bool) -> Option<Vec<f32>> {
    if rows <= MAX_ROWS {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    multiply(&mut out.spare_capacity_mut()[..len]).then(|| {
        // SAFETY: tiles write every output, as many as there is room for.
        unsafe { out.set_len(len) };
        out
    })
}

/// Elements that will be written, whatever they are.
///
/// # Safety
/// What is written is initialised.
pub(crate) unsafe fn to_write(out: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: they are of one layout.
    unsafe { &mut *(core::ptr::from_mut(out) as *mut [MaybeUninit<f32>]) }
}

/// A few rows, and products that the instructions have no tiles for.
fn multiply_otherwise(
    weights: WeightMatrix<'_>,
    inputs: usize,
    x: &[f32],
    out: &mut [f32],
    (bias, activation): (Option<&[f32]>, Activation),
) {
    if x.len() / inputs <= MAX_ROWS {
        match weights {
            WeightMatrix::F32(weights) => gemv_f32(weights, inputs, x, bias, out),
            WeightMatrix::F16(weights) => gemv_f16(weights, inputs, x, bias, out),
            WeightMatrix::Bf16(weights) => gemv_bf16(weights, inputs, x, bias, out),
            WeightMatrix::Quant(matrix) => matrix.gemv(x, bias, out),
        }
        return activation.apply(out, None);
    }
    let outputs = weights.outputs(inputs);
    if out.is_empty() {
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
    match (activation, bias) {
        (Activation::None, Some(bias)) => add_bias(out, bias),
        _ => activation.apply(out, bias),
    }
}

/// The product in tiles, if the instructions have any for such weights; whether they do, and wrote all of `out`.
fn multiply_in_tiles(
    weights: &[WeightMatrix<'_>],
    inputs: usize,
    x: &[f32],
    out: &mut [MaybeUninit<f32>],
    kind: Kind<'_>,
) -> bool {
    let isa = Isa::used();
    let outputs = out.len() / (x.len() / inputs);
    let sink = &mut Sink::new(Level::of(isa), out, outputs, kind);
    let quantised: Vec<_> = weights.iter().filter_map(WeightMatrix::quantised).collect();
    if quantised.len() == weights.len() {
        return multiply_quantised(isa, &quantised, x, sink);
    }
    let dense: Vec<_> = weights.iter().filter_map(WeightMatrix::dense).collect();
    dense.len() == weights.len() && multiply_dense(isa, &dense, inputs, x, sink)
}

/// `out[.., first..] = x · panelᵀ`: x `[rows, inputs]`, panel `[count, inputs]`, out `[rows, outputs]`.
fn multiply(x: &[f32], panel: &[f32], inputs: usize, out: &mut [f32], outputs: usize, first: usize) {
    let (rows, count) = (x.len() / inputs, panel.len() / inputs);
    let (x, panel) = (Matrix::new(x, [rows, inputs], inputs), Matrix::new(panel, [count, inputs], inputs));
    multiply_into(&mut out[first..], outputs, x, panel.transposed(), Product::default());
}
