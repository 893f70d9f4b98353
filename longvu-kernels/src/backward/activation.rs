//! Gradients of activations.
//!
//! Derivatives are within 1e-6 of the exact ones, and keep to their limits for inputs of any size.

use crate::activation::Unary;
use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::{for_each, for_rows, rows_per_task};

/// The derivative of x * Phi(x).
#[derive(Clone, Copy)]
pub(crate) struct GeluDerivative;
/// The derivative of the approximation over tanh.
#[derive(Clone, Copy)]
pub(crate) struct GeluTanhDerivative;

impl Unary for GeluDerivative {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        math::gelu_derivative(s, x)
    }
}

impl Unary for GeluTanhDerivative {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        math::gelu_tanh_derivative(s, x)
    }
}

/// `grad *= op(x)`.
struct Scale<'a, U> {
    op: U,
    x: &'a [f32],
    grad: &'a mut [f32],
}

impl<U: Unary> Kernel for Scale<'_, U> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (xs, x_rest) = self.x.as_chunks::<LANES>();
        let (grads, grad_rest) = self.grad.as_chunks_mut::<LANES>();
        for (grad, x) in grads.iter_mut().zip(xs) {
            let product = s.mul(s.load(grad), self.op.apply(s, s.load(x)));
            s.store(grad, product);
        }
        let product = s.mul(s.load_part(grad_rest, 0.0), self.op.apply(s, s.load_part(x_rest, 0.0)));
        s.store_part(grad_rest, product);
    }
}

pub(crate) fn scale_at<U: Unary>(level: Level, op: U, x: &[f32], grad: &mut [f32]) {
    assert_eq!(x.len(), grad.len(), "input and gradient");
    for_rows(grad, 1, |first, grad| level.run(Scale { op, x: &x[first..][..grad.len()], grad }));
}

/// `grad *= gelu'(x)`, of the exact form: from the gradient of `gelu(x)` to that of `x`, in place.
///
/// # Panics
/// If the lengths differ.
pub fn gelu_backward(x: &[f32], grad: &mut [f32]) {
    scale_at(Level::best(), GeluDerivative, x, grad);
}

/// `grad *= gelu_tanh'(x)`: from the gradient of `gelu_tanh(x)` to that of `x`, in place.
///
/// # Panics
/// If the lengths differ.
pub fn gelu_tanh_backward(x: &[f32], grad: &mut [f32]) {
    scale_at(Level::best(), GeluTanhDerivative, x, grad);
}

/// `grad_gate = grad * up * silu'(gate)` and `grad_up = grad * silu(gate)` over runs of one length.
struct Gated<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    grad: &'a [f32],
    grad_gate: &'a mut [f32],
    grad_up: &'a mut [f32],
}

/// The gradients of sixteen gates and the elements that they let through.
#[inline(always)]
fn gated<S: Simd>(s: S, gate: S::F, up: S::F, grad: S::F) -> (S::F, S::F) {
    let (value, derivative) = math::silu_and_derivative(s, gate);
    (s.mul(s.mul(grad, up), derivative), s.mul(grad, value))
}

impl Kernel for Gated<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ((gates, gate_rest), (ups, up_rest)) = (self.gate.as_chunks::<LANES>(), self.up.as_chunks::<LANES>());
        let (grads, grad_rest) = self.grad.as_chunks::<LANES>();
        let (gate_outs, gate_out_rest) = self.grad_gate.as_chunks_mut::<LANES>();
        let (up_outs, up_out_rest) = self.grad_up.as_chunks_mut::<LANES>();
        let inputs = gates.iter().zip(ups).zip(grads);
        for ((gate_out, up_out), ((gate, up), grad)) in gate_outs.iter_mut().zip(up_outs).zip(inputs) {
            let (to_gate, to_up) = gated(s, s.load(gate), s.load(up), s.load(grad));
            s.store(gate_out, to_gate);
            s.store(up_out, to_up);
        }
        let (gate, up) = (s.load_part(gate_rest, 0.0), s.load_part(up_rest, 0.0));
        let (to_gate, to_up) = gated(s, gate, up, s.load_part(grad_rest, 0.0));
        s.store_part(gate_out_rest, to_gate);
        s.store_part(up_out_rest, to_up);
    }
}

/// Gradients of `silu(gate) * up` from `grad`, all of one length.
///
/// # Panics
/// If the lengths differ.
pub fn silu_mul_backward(gate: &[f32], up: &[f32], grad: &[f32], grad_gate: &mut [f32], grad_up: &mut [f32]) {
    silu_mul_backward_at(Level::best(), gate, up, grad, grad_gate, grad_up);
}

pub(crate) fn silu_mul_backward_at(
    level: Level,
    gate: &[f32],
    up: &[f32],
    grad: &[f32],
    grad_gate: &mut [f32],
    grad_up: &mut [f32],
) {
    let len = grad.len();
    assert!(gate.len() == len && up.len() == len, "gate, up and the gradient of their product");
    assert!(grad_gate.len() == len && grad_up.len() == len, "gradients of gate and up");
    let task = rows_per_task(len, 1);
    let inputs = gate.chunks(task).zip(up.chunks(task)).zip(grad.chunks(task));
    let outputs = grad_gate.chunks_mut(task).zip(grad_up.chunks_mut(task));
    for_each(inputs.zip(outputs).collect(), |(((gate, up), grad), (grad_gate, grad_up))| {
        level.run(Gated { gate, up, grad, grad_gate, grad_up });
    });
}

/// The gradient of [`swiglu`](crate::swiglu) without a bias: fused and `grad_fused` are `[rows, 2 * inner]`, gate half
/// first, grad `[rows, inner]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn swiglu_backward(fused: &[f32], grad: &[f32], inner: usize, grad_fused: &mut [f32]) {
    swiglu_backward_at(Level::best(), fused, grad, inner, grad_fused);
}

pub(crate) fn swiglu_backward_at(level: Level, fused: &[f32], grad: &[f32], inner: usize, grad_fused: &mut [f32]) {
    assert!(inner > 0 && grad.len().is_multiple_of(inner) && fused.len() == 2 * grad.len(), "two halves of {inner}");
    assert_eq!(grad_fused.len(), fused.len(), "halves and their gradients");
    for_rows(grad_fused, 2 * inner, |first, outs| {
        let inputs = fused[2 * inner * first..].chunks(2 * inner).zip(grad[inner * first..].chunks(inner));
        for (out, (row, grad)) in outs.chunks_mut(2 * inner).zip(inputs) {
            let ((gate, up), (grad_gate, grad_up)) = (row.split_at(inner), out.split_at_mut(inner));
            level.run(Gated { gate, up, grad, grad_gate, grad_up });
        }
    });
}
