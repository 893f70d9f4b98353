//! Multi-head self-attention, the same in both towers.

use burn::{
    module::Module,
    tensor::{DType, Tensor, activation},
};
use longvu_checkpoint::nn::Linear;
use longvu_core::ops;

/// Queries, keys and values of a sequence attend to all of it.
#[derive(Module, Debug)]
pub struct SelfAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

impl SelfAttention {
    /// Attention over `heads` heads with the given query, key and value projections and output projection.
    pub fn new([query, key, value]: [Linear; 3], output: Linear, heads: usize) -> Self {
        Self { query, key, value, output, heads }
    }

    /// What [`SelfAttention::forward`] would have each token receive, the mean over heads and queries, in float32.
    ///
    /// Scores of one frame at a time are in memory.
    ///
    /// # Shapes
    /// - `x`: `[frames, tokens, channels]`
    /// - output: `[frames, tokens]`, which adds up to 1 in each frame
    pub fn received(&self, x: Tensor<3>) -> Tensor<2> {
        let [frames, tokens, channels] = x.dims();
        let head_dim = channels / self.heads;
        let received = (0..frames).map(|frame| {
            let x = x.clone().narrow(0, frame, 1);
            let split = |projection: &Linear| {
                let heads = projection.forward(x.clone()).reshape([1, tokens, self.heads, head_dim]);
                heads.swap_dims(1, 2).cast(DType::F32)
            };
            let scores = split(&self.query).matmul(split(&self.key).transpose()) * (head_dim as f64).powf(-0.5);
            let weights: Tensor<4> = activation::softmax(scores, 3).mean_dim(2).mean_dim(1);
            weights.reshape([1, tokens])
        });
        Tensor::cat(received.collect(), 0)
    }

    /// `[frames, tokens, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [frames, tokens, channels] = x.dims();
        let split = |projection: &Linear| {
            let heads = [frames, tokens, self.heads, channels / self.heads];
            projection.forward(x.clone()).reshape(heads).swap_dims(1, 2)
        };
        let precision = self.query.precision();
        let attended = ops::attention_in(precision, split(&self.query), split(&self.key), split(&self.value), None);
        self.output.forward(attended.swap_dims(1, 2).reshape([frames, tokens, channels]))
    }
}
