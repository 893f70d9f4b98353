//! Cosine similarities as the compression stages need them: computed in float32, and brought to the host to decide by.

use burn::tensor::{DType, Tensor};

#[cfg(feature = "flex")]
use super::cpu;

/// The cosine of every row with every row, `rows * rows` numbers in row-major order. A row of zeros has cosine 0.
///
/// # Shapes
/// - `x`: `[rows, channels]`
pub fn cosine_similarity(x: Tensor<2>) -> Vec<f32> {
    let x = x.cast(DType::F32);
    if x.dims().contains(&0) {
        return vec![0.0; x.dims()[0].pow(2)];
    }
    #[cfg(feature = "flex")]
    if cpu::applies(&x) {
        return cpu::cosine_similarity(x, ROW_EPS);
    }
    generic_similarity(x)
}

/// The cosine of every row of the second and later frames with the row at the same place in the first frame:
/// `(frames - 1) * rows` numbers, the later frames of a row side by side. A row of zeros has cosine 0.
///
/// # Shapes
/// - `x`: `[frames, rows, channels]`
pub fn cosine_with_first(x: Tensor<3>) -> Vec<f32> {
    let x = x.cast(DType::F32);
    let [frames, rows, channels] = x.dims();
    if frames < 2 || rows == 0 || channels == 0 {
        return vec![0.0; frames.saturating_sub(1) * rows];
    }
    #[cfg(feature = "flex")]
    if cpu::applies(&x) {
        return cpu::cosine_with_first(x, PAIR_EPS);
    }
    generic_with_first(x)
}

/// The least norm that a row is divided by, PyTorch's for `normalize`.
const ROW_EPS: f64 = 1e-12;

/// The least norm in a cosine, PyTorch's for `cosine_similarity`.
const PAIR_EPS: f64 = 1e-8;

fn generic_similarity(x: Tensor<2>) -> Vec<f32> {
    let norm = x.clone().square().sum_dim(1).sqrt().clamp_min(ROW_EPS);
    let unit = x / norm;
    host(unit.clone().matmul(unit.transpose()))
}

fn generic_with_first(x: Tensor<3>) -> Vec<f32> {
    let later = x.dims()[0] - 1;
    let norm = x.clone().square().sum_dim(2).sqrt().clamp_min(PAIR_EPS);
    let unit = x / norm;
    let first = unit.clone().narrow(0, 0, 1);
    host((unit.narrow(0, 1, later) * first).sum_dim(2).swap_dims(0, 1))
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let value = |i: usize| (((i as u64 + 1).wrapping_mul(seed | 1) >> 9) % 1000) as f32 / 500.0 - 1.0;
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::default())
    }

    fn worst(found: &[f32], expected: &[f32]) -> f32 {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn rows_of_zeros_are_like_nothing() {
        assert_eq!(cosine_similarity(Tensor::zeros([3, 5], &Device::default())), [0.0; 9]);
        assert_eq!(cosine_with_first(Tensor::zeros([3, 2, 5], &Device::default())), [0.0; 4]);
        assert_eq!(cosine_similarity(Tensor::zeros([2, 0], &Device::default())), [0.0; 4]);
        assert!(cosine_with_first(Tensor::zeros([1, 2, 5], &Device::default())).is_empty());
    }

    #[test]
    fn later_frames_of_a_row_lie_side_by_side() {
        let rows = [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [3.0, 0.0], [0.0, -1.0], [0.0, 1.0f32]];
        let x = Tensor::from_data(TensorData::new(rows.concat(), [3, 2, 2]), &Device::default());
        assert_eq!(cosine_with_first(x), [1.0, 0.0, 0.0, 1.0]);
    }

    proptest! {
        /// Whatever serves the default device gives what burn's operations give, on views too.
        #[test]
        fn equal_the_generic_path(frames in 2usize..20, rows in 1usize..9, channels in 1usize..70, seed: u64) {
            let x = tensor([frames + 1, rows, channels], seed).narrow(0, 1, frames);
            let found = cosine_with_first(x.clone());
            prop_assert!(worst(&found, &generic_with_first(x.clone())) < 1e-5);
            let x = x.reshape([frames, rows * channels]);
            prop_assert!(worst(&cosine_similarity(x.clone()), &generic_similarity(x.clone())) < 1e-5);
            let x = x.transpose();
            prop_assert!(worst(&cosine_similarity(x.clone()), &generic_similarity(x)) < 1e-5);
        }
    }
}
