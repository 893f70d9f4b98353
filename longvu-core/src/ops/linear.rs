//! Linear layers with weights in the state dict's layout.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;
use super::{Activation, Weight, gelu, gelu_tanh, silu_mul, swiglu};
use crate::quantize::QuantizedMatrix;

/// `x @ weight^T + bias`, with `weight` as PyTorch stores it.
///
/// The weight may be held in another dtype than `x`: the CPU's kernels read it as it is stored, and elsewhere it is
/// converted for the product.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - `weight`: `[d_output, d_input]`
/// - `bias`: `[d_output]`
/// - output: `[..., d_output]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    linear_activated(x, Weight::Dense(&weight), bias, Activation::None)
}

/// [`linear`] with a quantised weight; without the CPU's kernels the weight is restored for the product.
pub fn linear_quantized<const D: usize>(x: Tensor<D>, weight: &QuantizedMatrix, bias: Option<Tensor<1>>) -> Tensor<D> {
    linear_activated(x, Weight::Quantized(weight), bias, Activation::None)
}

/// [`linear`] with any weight, and an activation of what comes out.
pub fn linear_activated<const D: usize>(
    x: Tensor<D>,
    weight: Weight<'_>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x)
        && bias.as_ref().is_none_or(cpu::applies)
        && let Some(out) = cpu::linear(x.clone(), &weight, bias.clone(), activation)
    {
        return out;
    }
    let out = match weight {
        Weight::Dense(weight) => product(x, weight.clone(), bias),
        Weight::Quantized(weight) => {
            let restored = weight.restore(&x.device()).cast(x.dtype());
            product(x, restored, bias)
        }
    };
    match activation {
        Activation::None => out,
        Activation::Gelu => gelu(out),
        Activation::GeluTanh => gelu_tanh(out),
    }
}

/// `silu(x @ gate^T + bias) * (x @ up^T + bias)`: the hidden layer of a SwiGLU feed-forward, whose weights and biases are
/// those of gate and up, or side by side in one, the gate's first.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - `weights`: two of `[inner, d_input]`, or one of `[2 * inner, d_input]`
/// - `biases`: none, or as many of `[inner]` or `[2 * inner]`
/// - output: `[..., inner]`
///
/// # Panics
/// If there are some biases, and not as many as weights.
pub fn linear_gated<const D: usize>(x: Tensor<D>, weights: &[Weight<'_>], biases: &[Tensor<1>]) -> Tensor<D> {
    assert!(biases.is_empty() || biases.len() == weights.len(), "{} biases of {} layers", biases.len(), weights.len());
    #[cfg(feature = "flex")]
    if cpu::applies(&x)
        && biases.iter().all(cpu::applies)
        && let Some(out) = cpu::linear_gated(x.clone(), weights, biases)
    {
        return out;
    }
    let forward = |i: usize| linear_activated(x.clone(), weights[i], biases.get(i).cloned(), Activation::None);
    if weights.len() == 1 { swiglu(forward(0)) } else { silu_mul(forward(0), forward(1)) }
}

/// The product without the CPU's kernels, or with gradients.
fn product<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && grad::applies(&weight)
        && bias.as_ref().is_none_or(grad::applies)
        && let Some(out) = grad::linear(x.clone(), weight.clone(), bias.clone())
    {
        return out;
    }
    let mut dims = x.dims();
    let [d_output, d_input] = weight.dims();
    let rows = dims.iter().take(D - 1).product::<usize>();
    let weight = if weight.dtype() == x.dtype() { weight } else { weight.cast(x.dtype()) };
    let mut out = x.reshape([rows, d_input]).matmul(weight.transpose());
    if let Some(bias) = bias {
        out = out + bias.unsqueeze();
    }
    dims[D - 1] = d_output;
    out.reshape(dims)
}
