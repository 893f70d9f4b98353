//! Multi-head self-attention, the same in both towers.

use burn::{module::Module, tensor::Tensor};
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

    /// `[frames, tokens, channels]` to the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [frames, tokens, channels] = x.dims();
        let split = |projection: &Linear| {
            let heads = [frames, tokens, self.heads, channels / self.heads];
            projection.forward(x.clone()).reshape(heads).swap_dims(1, 2)
        };
        let attended = ops::attention(split(&self.query), split(&self.key), split(&self.value), None);
        self.output.forward(attended.swap_dims(1, 2).reshape([frames, tokens, channels]))
    }
}
