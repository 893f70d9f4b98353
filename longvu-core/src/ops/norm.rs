//! Normalisation over the last dimension, computed in float32 whatever the storage type.

use burn::tensor::{DType, Tensor};

/// Layer normalisation: zero mean and unit variance per row, then scale and shift.
///
/// # Shapes
/// - `x`: `[..., channels]`
/// - `weight`, `bias`: `[channels]`
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, eps: f64) -> Tensor<D> {
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
    let dtype = x.dtype();
    let x = x.cast(DType::F32);
    let mean_square = x.clone().square().mean_dim(D - 1);
    let normed = (x / (mean_square + eps).sqrt()).cast(dtype);
    normed * weight.unsqueeze()
}
