//! What SigLIP's vision half has beyond its features: the closing norm and the attention pooling that makes one vector of
//! an image, under their published names.

use burn::{module::Param, tensor::Tensor};
use longvu_checkpoint::{
    Weights,
    config::SiglipConfig,
    nn::{LayerNorm, Linear},
};
use longvu_core::ops;

pub(crate) struct PoolingHead {
    post_layernorm: LayerNorm,
    probe: Param<Tensor<3>>,
    in_proj_weight: Param<Tensor<2>>,
    in_proj_bias: Param<Tensor<1>>,
    out_proj: Linear,
    layernorm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
}

impl PoolingHead {
    /// Takes the head from `weights`, whose names begin with `vision_model`.
    pub fn new(config: &SiglipConfig, weights: &Weights) -> Self {
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let weights = weights.at("vision_model");
        let head = weights.at("head");
        let attention = head.at("attention");
        Self {
            post_layernorm: LayerNorm::new(&weights.at("post_layernorm"), width, eps),
            probe: head.tensor("probe", [1, 1, width]),
            in_proj_weight: attention.tensor("in_proj_weight", [3 * width, width]),
            in_proj_bias: attention.tensor("in_proj_bias", [3 * width]),
            out_proj: Linear::new(&attention.at("out_proj"), width, width, true),
            layernorm: LayerNorm::new(&head.at("layernorm"), width, eps),
            fc1: Linear::new(&head.at("mlp.fc1"), width, inner, true),
            fc2: Linear::new(&head.at("mlp.fc2"), inner, width, true),
            heads: config.num_attention_heads,
        }
    }

    /// `[images, patches, channels]` from the last layer to `[images, channels]`.
    pub fn forward(&self, hidden_states: Tensor<3>) -> Tensor<2> {
        let hidden_states = self.post_layernorm.forward(hidden_states);
        let [images, _, width] = hidden_states.dims();
        let project = |i: usize, x: Tensor<3>| {
            let [images, rows, _] = x.dims();
            let weight = self.in_proj_weight.val().narrow(0, i * width, width);
            let bias = self.in_proj_bias.val().narrow(0, i * width, width);
            ops::linear(x, weight, Some(bias)).reshape([images, rows, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let query = project(0, self.probe.val().expand([images, 1, width]));
        let (key, value) = (project(1, hidden_states.clone()), project(2, hidden_states));
        let attended = ops::attention(query, key, value, None).swap_dims(1, 2).reshape([images, 1, width]);
        let pooled = self.out_proj.forward(attended);
        let hidden = ops::gelu_tanh(self.fc1.forward(self.layernorm.forward(pooled.clone())));
        (pooled + self.fc2.forward(hidden)).reshape([images, width])
    }
}
