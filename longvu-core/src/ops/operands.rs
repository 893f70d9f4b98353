//! What products are of, and what they are computed in.

use burn::tensor::Tensor;

use crate::quantize::QuantizedMatrix;

/// What the CPU's kernels multiply activations in; everything else computes in the type of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16 where the machine has instructions for it, with sums in f32.
    Bf16,
}

/// A linear layer's weight, `[d_output, d_input]` as PyTorch stores it.
#[derive(Debug, Clone, Copy)]
pub enum Weight<'a> {
    /// In floating point, perhaps of another dtype than what it is multiplied with.
    Dense(&'a Tensor<2>),
    /// In groups of integers.
    Quantized(&'a QuantizedMatrix),
}

impl Weight<'_> {
    /// `[d_output, d_input]`.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) => weight.dims(),
            Self::Quantized(weight) => weight.dims(),
        }
    }
}
