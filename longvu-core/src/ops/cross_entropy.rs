//! The loss of a language model.

use burn::tensor::{DType, Int, Tensor, TensorData, activation};

#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;

/// The sum over rows of `weight * -log softmax(logits)[target]`; a row of weight 0 does not count.
///
/// # Shapes
/// - `logits`: `[rows, classes]`
/// - `targets`, `weights`: a number a row, each target below `classes`
/// - output: `[1]`, in float32
pub fn cross_entropy(logits: Tensor<2>, targets: &[u32], weights: &[f32]) -> Tensor<1> {
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&logits)
        && let Some(loss) = grad::cross_entropy(logits.clone(), targets, weights)
    {
        return loss;
    }
    let (rows, device) = (logits.dims()[0], logits.device());
    let targets: Vec<i64> = targets.iter().map(|&target| i64::from(target)).collect();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [rows, 1]), &device);
    let weights = Tensor::<2>::from_data(TensorData::new(weights.to_vec(), [rows, 1]), (&device, DType::F32));
    let chosen = activation::log_softmax(logits.cast(DType::F32), 1).gather(1, targets);
    -(chosen * weights).sum()
}
