//! Patch embedding: a convolution whose stride is its kernel, computed as one matrix product.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use longvu_checkpoint::Weights;
use longvu_core::ops;

/// Cuts an image in square patches and projects each to the tower's width.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// `[channels, 3, patch, patch]`, as a convolution stores it.
    weight: Param<Tensor<4>>,
    /// `[channels]`.
    bias: Param<Tensor<1>>,
}

impl PatchEmbed {
    /// Takes `weight` and `bias` from `weights`.
    pub fn new(weights: &Weights, channels: usize, patch: usize) -> Self {
        Self { weight: weights.tensor("weight", [channels, 3, patch, patch]), bias: weights.tensor("bias", [channels]) }
    }

    /// `[frames, 3, size, size]` to `[frames, (size / patch)^2, channels]`; pixels beyond the last whole patch are
    /// dropped, as the convolution does.
    pub fn forward(&self, pixel_values: Tensor<4>) -> Tensor<3> {
        let [frames, _, _, size] = pixel_values.dims();
        let weight = self.weight.val();
        let [channels, _, patch, _] = weight.dims();
        let side = size / patch;
        let whole = side * patch;
        let pixel_values = pixel_values.narrow(2, 0, whole).narrow(3, 0, whole);
        let patches = pixel_values.reshape([frames, 3, side, patch, side, patch]).permute([0, 2, 4, 1, 3, 5]);
        let patches = patches.reshape([frames, side * side, 3 * patch * patch]);
        ops::linear(patches, weight.reshape([channels, 3 * patch * patch]), Some(self.bias.val()))
    }
}
