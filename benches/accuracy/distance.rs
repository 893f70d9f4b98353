//! How far numbers are from those of another computation.

use burn::tensor::Tensor;

/// Sums of squares.
#[derive(Clone, Copy, Default)]
pub struct Distance {
    difference: f64,
    norm: f64,
}

impl Distance {
    pub fn add(&mut self, found: &[f32], expected: &[f32]) {
        let square = |x: f32| f64::from(x).powi(2);
        self.difference += found.iter().zip(expected).map(|(a, b)| square(a - b)).sum::<f64>();
        self.norm += expected.iter().map(|&b| square(b)).sum::<f64>();
    }

    /// Norm of the difference over norm of the expected values.
    pub fn relative(&self) -> f64 {
        (self.difference / self.norm).sqrt()
    }
}

/// The place of the greatest value.
pub fn likeliest(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default()
}

/// Logarithm of the sum of exponentials.
pub fn log_sum(logits: &[f32]) -> f64 {
    let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    greatest + logits.iter().map(|&x| (f64::from(x) - greatest).exp()).sum::<f64>().ln()
}

/// A tensor's values, row-major.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
