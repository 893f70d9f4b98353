//! Linear layers with weights in the state dict's layout.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;
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
    #[cfg(feature = "flex")]
    if cpu::applies(&x)
        && bias.as_ref().is_none_or(cpu::applies)
        && let Some(out) = cpu::linear(x.clone(), &weight, bias.clone())
    {
        return out;
    }
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

/// [`linear`] with a quantised weight; without the CPU's kernels the weight is restored for the product.
pub fn linear_quantized<const D: usize>(x: Tensor<D>, weight: &QuantizedMatrix, bias: Option<Tensor<1>>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) && bias.as_ref().is_none_or(cpu::applies) {
        return cpu::linear_quantized(x, weight.kernel(), bias);
    }
    let restored = weight.restore(&x.device()).cast(x.dtype());
    linear(x, restored, bias)
}
