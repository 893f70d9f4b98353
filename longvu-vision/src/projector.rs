//! From aggregated frames to the language model's tokens: projection, unpadding, and a newline after every row.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use longvu_checkpoint::{Weights, nn::Linear};
use longvu_core::ops::{self, Activation, Interpolation};

use crate::SizePair;

/// `mm_projector` and `image_newline` of a checkpoint.
#[derive(Module, Debug)]
pub struct MmProjector {
    linear_1: Linear,
    linear_2: Linear,
    image_newline: Param<Tensor<1>>,
}

impl MmProjector {
    /// Takes the projector from the `model` level of a checkpoint, to a language model of width `hidden_size`.
    pub fn new(channels: usize, hidden_size: usize, weights: &Weights) -> Self {
        let projector = weights.at("mm_projector");
        Self {
            linear_1: Linear::new(&projector.at(0), channels, hidden_size, true),
            linear_2: Linear::new(&projector.at(2), hidden_size, hidden_size, true),
            image_newline: weights.tensor("image_newline", [hidden_size]),
        }
    }

    /// `[frames, cells, channels]` to `[frames, cells, hidden_size]`.
    pub fn forward(&self, features: Tensor<3>) -> Tensor<3> {
        self.linear_2.forward(self.linear_1.forward_activated(features, Activation::Gelu))
    }

    /// The tokens of frames at full resolution.
    ///
    /// # Shapes
    /// - `features`: `[frames, side^2, channels]`, from the aggregator
    /// - output: `[frames, tokens, hidden_size]`, with 12 * 13 = 156 tokens for a square frame
    pub fn full_tokens(&self, features: Tensor<3>, size: SizePair) -> Tensor<3> {
        let side = features.dims()[1].isqrt();
        self.lay_out(features, side, size)
    }

    /// The tokens of frames at low resolution: the grid is resampled to `low x low` before it is projected.
    ///
    /// # Shapes
    /// - `features`: `[frames, side^2, channels]`, from the aggregator
    /// - output: `[frames, tokens, hidden_size]`, with 8 * 9 = 72 tokens for a square frame
    pub fn low_tokens(&self, features: Tensor<3>, low: usize, size: SizePair) -> Tensor<3> {
        let side = features.dims()[1].isqrt();
        let features = ops::resample_grid(features, side, low, Interpolation::Bilinear, None);
        self.lay_out(features, low, size.scaled(side, low))
    }

    fn lay_out(&self, features: Tensor<3>, side: usize, size: SizePair) -> Tensor<3> {
        let newline = self.image_newline.val();
        lay_out(self.forward(features.cast(newline.dtype())), newline, side, size)
    }

    /// A number for each cell of frames as one for each token of [`MmProjector::full_tokens`], 0 for newlines.
    ///
    /// # Shapes
    /// - `cells`: `[frames, side^2]`
    /// - output: `[frames, tokens]`
    pub fn full_cells(cells: Tensor<2>, size: SizePair) -> Tensor<2> {
        let (side, newline) = (cells.dims()[1].isqrt(), Tensor::zeros([1], (&cells.device(), cells.dtype())));
        lay_out(cells.unsqueeze_dim(2), newline, side, size).squeeze_dim(2)
    }

    /// The same for [`MmProjector::low_tokens`].
    ///
    /// # Shapes
    /// - `cells`: `[frames, side^2]`
    /// - output: `[frames, tokens]`
    pub fn low_cells(cells: Tensor<2>, low: usize, size: SizePair) -> Tensor<2> {
        let side = cells.dims()[1].isqrt();
        let cells = ops::resample_grid(cells.unsqueeze_dim(2), side, low, Interpolation::Bilinear, None);
        Self::full_cells(cells.squeeze_dim(2), size.scaled(side, low))
    }

    /// Width of the language model.
    pub fn hidden_size(&self) -> usize {
        self.image_newline.val().dims()[0]
    }

    /// The dtype that tokens come in.
    pub fn dtype(&self) -> DType {
        self.image_newline.val().dtype()
    }
}

/// Cells of a grid without its padding, and a newline after each row.
fn lay_out(cells: Tensor<3>, newline: Tensor<1>, side: usize, size: SizePair) -> Tensor<3> {
    let kept = size.kept_cells(side);
    let [frames, _, hidden] = cells.dims();
    let grid = cells.reshape([frames, side, side, hidden]).narrow(1, kept.rows.start, kept.rows.len()).narrow(
        2,
        kept.columns.start,
        kept.columns.len(),
    );
    let newline = newline.reshape([1, 1, 1, hidden]).expand([frames, kept.rows.len(), 1, hidden]);
    Tensor::cat(vec![grid, newline], 2).reshape([frames, kept.tokens_with_newlines(), hidden])
}
