//! Activation functions, and the gated product of SwiGLU.

use burn::tensor::{Tensor, activation};

#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;

/// Gaussian error linear unit in its exact form, `x * Phi(x)`.
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) {
        return cpu::map(x, |x| longvu_kernels::gelu(x, None));
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && let Some(out) =
            grad::map(x.clone(), |x| longvu_kernels::gelu(x, None), longvu_kernels::backward::gelu_backward)
    {
        return out;
    }
    activation::gelu(x)
}

/// The tanh approximation of [`gelu`] (`gelu_pytorch_tanh`).
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) {
        return cpu::map(x, |x| longvu_kernels::gelu_tanh(x, None));
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && let Some(out) =
            grad::map(x.clone(), |x| longvu_kernels::gelu_tanh(x, None), longvu_kernels::backward::gelu_tanh_backward)
    {
        return out;
    }
    activation::gelu_approximate(x)
}

/// `silu(gate) * up`, the hidden layer of a SwiGLU feed-forward.
pub fn silu_mul<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&gate) && cpu::applies(&up) {
        return cpu::silu_mul(gate, up);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&gate)
        && grad::applies(&up)
        && let Some(out) = grad::silu_mul(gate.clone(), up.clone())
    {
        return out;
    }
    activation::silu(gate) * up
}

/// [`silu_mul`] of a gate and an up projection that lie side by side, `[..., 2 * inner]` to `[..., inner]`.
pub fn swiglu<const D: usize>(fused: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&fused) {
        return cpu::swiglu(fused);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&fused)
        && let Some(out) = grad::swiglu(fused.clone())
    {
        return out;
    }
    let inner = fused.dims()[D - 1] / 2;
    silu_mul(fused.clone().narrow(D - 1, 0, inner), fused.narrow(D - 1, inner, inner))
}
