//! Normalisation over the last dimension, computed in float32 whatever the storage type.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;

/// Layer normalisation: zero mean and unit variance per row, then scale and shift.
///
/// # Shapes
/// - `x`: `[..., channels]`
/// - `weight`, `bias`: `[channels]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) && cpu::applies(&weight) && cpu::applies(&bias) {
        return cpu::norm(x, weight, Some(bias), eps);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && grad::applies(&weight)
        && grad::applies(&bias)
        && let Some(out) = grad::layer_norm(x.clone(), weight.clone(), bias.clone(), eps)
    {
        return out;
    }
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let mean = x.clone().mean_dim(D - 1);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(D - 1);
    let normed = centred / (variance + eps).sqrt();
    (normed * weight.cast(DType::F32).unsqueeze() + bias.cast(DType::F32).unsqueeze()).cast(dtype)
}

/// Root-mean-square normalisation as in Hugging Face's Qwen2 and Llama: the normalised value is rounded to the
/// storage type before it is scaled.
///
/// # Shapes
/// - `x`: `[..., channels]`
/// - `weight`: `[channels]`
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) && cpu::applies(&weight) {
        return cpu::norm(x, weight, None, eps);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && grad::applies(&weight)
        && let Some(out) = grad::rms_norm(x.clone(), weight.clone(), eps)
    {
        return out;
    }
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let mean_square = x.clone().square().mean_dim(D - 1);
    let normed = (x / (mean_square + eps).sqrt()).cast(dtype);
    normed * weight.unsqueeze()
}

/// `residual + delta * scale`, the end of a transformer's block; `scale` is a layer scale, if there is one.
///
/// # Shapes
/// - `residual`, `delta`: `[..., channels]`
/// - `scale`: `[channels]`
pub fn add_residual<const D: usize>(residual: Tensor<D>, delta: Tensor<D>, scale: Option<Tensor<1>>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if cpu::applies(&residual) && cpu::applies(&delta) && scale.as_ref().is_none_or(cpu::applies) {
        return cpu::add_scaled(residual, delta, scale);
    }
    match scale {
        Some(scale) => residual + delta * scale.unsqueeze(),
        None => residual + delta,
    }
}
