//! The sigmoid loss of pairs that match or don't.

use burn::tensor::{DType, Tensor, TensorData};

/// The sum of `softplus(-sign * logit)` over pairs; a sign of 0 leaves a pair out.
///
/// # Shapes
/// - `logits`: `[rows, columns]`
/// - `signs`: as many numbers
/// - output: `[1]`
pub(crate) fn pair_loss(logits: Tensor<2>, signs: &[f32]) -> Tensor<1> {
    let (dims, device) = (logits.dims(), logits.device());
    let tensor = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, dims), (&device, DType::F32));
    let counts = tensor(signs.iter().map(|sign| sign.abs()).collect());
    let wrong = -(logits * tensor(signs.to_vec()));
    // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), which never overflows.
    let softplus = wrong.clone().clamp_min(0.0) + ((-wrong.abs()).exp() + 1.0).log();
    (softplus * counts).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn pairs_count_by_their_signs() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[2.0f32, -1.0], [300.0, 5.0]], &device);
        let loss: f32 = pair_loss(logits, &[1.0, -1.0, -1.0, 0.0]).into_scalar();
        let expected = (1.0 + (-2f64).exp()).ln() + (1.0 + (-1f64).exp()).ln() + 300.0;
        assert!((f64::from(loss) - expected).abs() < 1e-4, "{loss} {expected}");
    }
}
