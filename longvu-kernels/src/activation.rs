//! Activations, with the bias of the matrix product before them.
//!
//! Error against f64, of inputs of any size: 2e-7 absolute, and relative where the result is above 1. Small results are
//! precise too: down to 1e-6, the relative error of [`gelu`] and [`gelu_tanh`] is 3e-6, that of [`silu`] 1e-6. Minus
//! infinity gives NaN, as a product of infinity and zero does.

use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;

/// Elements copied before they are worked on in place: they stay in the first cache.
const BLOCK: usize = 4096;

/// A function of sixteen lanes.
pub(crate) trait Unary: Copy + Send + Sync {
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F;
}

/// x * Phi(x).
#[derive(Clone, Copy)]
pub(crate) struct Gelu;
/// The approximation over tanh.
#[derive(Clone, Copy)]
pub(crate) struct GeluTanh;
/// x * sigmoid(x).
#[derive(Clone, Copy)]
pub(crate) struct Silu;

impl Unary for Gelu {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        math::gelu(s, x)
    }
}

impl Unary for GeluTanh {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        math::gelu_tanh(s, x)
    }
}

impl Unary for Silu {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        math::silu(s, x)
    }
}

/// One row, or without a bias any run of elements.
pub(crate) struct Apply<'a, U> {
    pub(crate) op: U,
    pub(crate) x: &'a mut [f32],
    pub(crate) bias: Option<&'a [f32]>,
}

impl<U: Unary> Kernel for Apply<'_, U> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (blocks, rest) = self.x.as_chunks_mut::<LANES>();
        if let Some(bias) = self.bias {
            let (bias_blocks, bias_rest) = bias.as_chunks::<LANES>();
            for (x, bias) in blocks.iter_mut().zip(bias_blocks) {
                let y = self.op.apply(s, s.add(s.load(x), s.load(bias)));
                s.store(x, y);
            }
            let y = self.op.apply(s, s.add(s.load_part(rest, 0.0), s.load_part(bias_rest, 0.0)));
            s.store_part(rest, y);
        } else {
            for x in blocks {
                let y = self.op.apply(s, s.load(x));
                s.store(x, y);
            }
            let y = self.op.apply(s, s.load_part(rest, 0.0));
            s.store_part(rest, y);
        }
    }
}

/// The width that the work is cut by: a row where there is a bias.
fn width(len: usize, bias: Option<&[f32]>) -> usize {
    let width = bias.map_or(BLOCK.min(len.max(1)), <[f32]>::len);
    assert!(width > 0 && (bias.is_none() || len.is_multiple_of(width)), "rows of {width} in {len} elements");
    width
}

pub(crate) fn apply_at<U: Unary>(level: Level, op: U, x: &mut [f32], bias: Option<&[f32]>) {
    let width = width(x.len(), bias);
    for_rows(x, width, |_, chunk| {
        for row in chunk.chunks_mut(width) {
            level.run(Apply { op, x: row, bias });
        }
    });
}

fn apply_into<U: Unary>(op: U, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "input and output");
    let (level, width) = (Level::best(), width(x.len(), bias));
    for_rows(out, width, |first, chunk| {
        let x = &x[first * width..][..chunk.len()];
        for (row, x) in chunk.chunks_mut(width).zip(x.chunks(width)) {
            row.copy_from_slice(x);
            level.run(Apply { op, x: row, bias });
        }
    });
}

/// `x = gelu(x + bias)`, the exact form over the error function. A bias makes `x` rows of its length.
///
/// # Panics
/// If `x` is not whole rows.
pub fn gelu(x: &mut [f32], bias: Option<&[f32]>) {
    apply_at(Level::best(), Gelu, x, bias);
}

/// [`gelu`] into another buffer of the same length.
///
/// # Panics
/// If the lengths do not fit.
pub fn gelu_into(x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    apply_into(Gelu, x, bias, out);
}

/// `x = gelu(x + bias)`, the approximation over tanh. A bias makes `x` rows of its length.
///
/// # Panics
/// If `x` is not whole rows.
pub fn gelu_tanh(x: &mut [f32], bias: Option<&[f32]>) {
    apply_at(Level::best(), GeluTanh, x, bias);
}

/// [`gelu_tanh`] into another buffer of the same length.
///
/// # Panics
/// If the lengths do not fit.
pub fn gelu_tanh_into(x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    apply_into(GeluTanh, x, bias, out);
}

/// `x = silu(x + bias)`, silu(x) = x * sigmoid(x). A bias makes `x` rows of its length.
///
/// # Panics
/// If `x` is not whole rows.
pub fn silu(x: &mut [f32], bias: Option<&[f32]>) {
    apply_at(Level::best(), Silu, x, bias);
}

/// [`silu`] into another buffer of the same length.
///
/// # Panics
/// If the lengths do not fit.
pub fn silu_into(x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    apply_into(Silu, x, bias, out);
}

/// `out = silu(gate) * up` over runs of one length; the biases lie as the operands do.
struct Gated<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    bias: Option<(&'a [f32], &'a [f32])>,
    out: &'a mut [f32],
}

impl Kernel for Gated<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (out_blocks, out_rest) = self.out.as_chunks_mut::<LANES>();
        let ((gates, gate_rest), (ups, up_rest)) = (self.gate.as_chunks::<LANES>(), self.up.as_chunks::<LANES>());
        if let Some((gate_bias, up_bias)) = self.bias {
            let (gate_biases, gate_bias_rest) = gate_bias.as_chunks::<LANES>();
            let (up_biases, up_bias_rest) = up_bias.as_chunks::<LANES>();
            let biases = gate_biases.iter().zip(up_biases);
            for (((out, gate), up), (gate_bias, up_bias)) in out_blocks.iter_mut().zip(gates).zip(ups).zip(biases) {
                let gate = math::silu(s, s.add(s.load(gate), s.load(gate_bias)));
                s.store(out, s.mul(gate, s.add(s.load(up), s.load(up_bias))));
            }
            let gate = math::silu(s, s.add(s.load_part(gate_rest, 0.0), s.load_part(gate_bias_rest, 0.0)));
            let up = s.add(s.load_part(up_rest, 0.0), s.load_part(up_bias_rest, 0.0));
            s.store_part(out_rest, s.mul(gate, up));
        } else {
            for ((out, gate), up) in out_blocks.iter_mut().zip(gates).zip(ups) {
                s.store(out, s.mul(math::silu(s, s.load(gate)), s.load(up)));
            }
            let gate = math::silu(s, s.load_part(gate_rest, 0.0));
            s.store_part(out_rest, s.mul(gate, s.load_part(up_rest, 0.0)));
        }
    }
}

/// `out = silu(gate) * up`, all of one length.
///
/// # Panics
/// If the lengths differ.
pub fn silu_mul(gate: &[f32], up: &[f32], out: &mut [f32]) {
    silu_mul_at(Level::best(), gate, up, out);
}

pub(crate) fn silu_mul_at(level: Level, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(gate.len() == up.len() && gate.len() == out.len(), "gate, up and output");
    for_rows(out, 1, |first, out| {
        let (gate, up) = (&gate[first..][..out.len()], &up[first..][..out.len()]);
        level.run(Gated { gate, up, bias: None, out });
    });
}

/// `gate = silu(gate) * up`, both of one length.
///
/// # Panics
/// If the lengths differ.
pub fn silu_mul_in_place(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up");
    let level = Level::best();
    for_rows(gate, 1, |first, out| {
        let mut gates = [0.0; BLOCK];
        for (i, out) in out.chunks_mut(BLOCK).enumerate() {
            let gate = &mut gates[..out.len()];
            gate.copy_from_slice(out);
            level.run(Gated { gate, up: &up[first + i * BLOCK..][..out.len()], bias: None, out });
        }
    });
}

/// `out = silu(g) * u` of rows `[g, u] = fused + bias`: fused is `[rows, 2 * inner]`, gate half first, bias
/// `[2 * inner]`, out `[rows, inner]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn swiglu(fused: &[f32], inner: usize, bias: Option<&[f32]>, out: &mut [f32]) {
    swiglu_at(Level::best(), fused, inner, bias, out);
}

pub(crate) fn swiglu_at(level: Level, fused: &[f32], inner: usize, bias: Option<&[f32]>, out: &mut [f32]) {
    assert!(inner > 0 && out.len().is_multiple_of(inner) && fused.len() == 2 * out.len(), "two halves of {inner}");
    assert!(bias.is_none_or(|bias| bias.len() == 2 * inner), "bias of both halves");
    for_rows(out, inner, |first, out| {
        for (out, row) in out.chunks_mut(inner).zip(fused[2 * inner * first..].chunks(2 * inner)) {
            let (gate, up) = row.split_at(inner);
            level.run(Gated { gate, up, bias: bias.map(|bias| bias.split_at(inner)), out });
        }
    });
}
