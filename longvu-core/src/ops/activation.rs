//! Activation functions, and the gated product of SwiGLU.

use burn::tensor::{Tensor, activation};

/// Gaussian error linear unit in its exact form, `x * Phi(x)`.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu(x)
}

/// The tanh approximation of [`gelu`] (`gelu_pytorch_tanh`).
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::gelu_approximate(x)
}

/// `silu(gate) * up`, the hidden layer of a SwiGLU feed-forward.
pub fn silu_mul<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    activation::silu(gate) * up
}
