//! DINOv2: a vision transformer with a class token, layer scale, and a SwiGLU or GELU feed-forward.
//!
//! The names of the fields are those of the state dict of `facebook/dinov2-*`.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use longvu_checkpoint::{
    Weights,
    config::Dinov2Config,
    nn::{LayerNorm, Linear},
};
use longvu_core::ops::{self, Activation, Interpolation};

use crate::{attention::SelfAttention, patch::PatchEmbed};

/// A DINOv2 tower.
#[derive(Module, Debug)]
pub struct Dinov2 {
    cls_token: Param<Tensor<3>>,
    position_embeddings: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    layers: Vec<Layer>,
    layernorm: LayerNorm,
    position_side: usize,
}

impl Dinov2 {
    /// Takes a tower of the sizes in `config` from `weights`.
    pub fn new(config: &Dinov2Config, weights: &Weights) -> Self {
        let width = config.hidden_size;
        let embeddings = weights.at("embeddings");
        embeddings.unused("mask_token", &[1, width]);
        let positions = 1 + config.position_side().pow(2);
        Self {
            cls_token: embeddings.tensor("cls_token", [1, 1, width]),
            position_embeddings: embeddings.tensor("position_embeddings", [1, positions, width]),
            patch_embed: PatchEmbed::new(&embeddings.at("patch_embeddings.projection"), width, config.patch_size),
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::new(config, &weights.at("encoder.layer").at(i)))
                .collect(),
            layernorm: LayerNorm::new(&weights.at("layernorm"), width, config.layer_norm_eps),
            position_side: config.position_side(),
        }
    }

    /// The position embeddings of a grid of `side` patches, class token first.
    ///
    /// The trained grid is resampled bicubically by the factor `(side + 0.1) / trained`; that tenth is what
    /// transformers 4.42 adds against rounding, and the published results carry it.
    ///
    /// # Shapes
    /// - output: `[1, 1 + side * side, channels]`
    pub fn positions(&self, side: usize) -> Tensor<3> {
        let all = self.position_embeddings.val();
        if side == self.position_side {
            return all;
        }
        let [_, count, _] = all.dims();
        let class = all.clone().narrow(1, 0, 1);
        let scale = (side as f64 + 0.1) / self.position_side as f64;
        let grid = all.narrow(1, 1, count - 1);
        let grid = ops::resample_grid(grid, self.position_side, side, Interpolation::Bicubic, Some(scale));
        Tensor::cat(vec![class, grid], 1)
    }

    /// Runs the tower: the layer-normed output of the last layer, class token first.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, 1 + patches, channels]`
    pub fn forward(&self, pixel_values: Tensor<4>) -> Tensor<3> {
        let patches = self.patch_embed.forward(pixel_values);
        let [frames, count, width] = patches.dims();
        let class = self.cls_token.val().expand([frames, 1, width]);
        let mut hidden_states = Tensor::cat(vec![class, patches], 1) + self.positions(count.isqrt());
        for layer in &self.layers {
            hidden_states = ops::in_pool(hidden_states, |x| layer.forward(x));
        }
        self.layernorm.forward(hidden_states)
    }

    /// The features that LongVU uses: the patches of [`Dinov2::forward`] resampled to `side x side`, in float32.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, side * side, channels]`
    pub fn features(&self, pixel_values: Tensor<4>, side: usize) -> Tensor<3> {
        let hidden_states = self.forward(pixel_values);
        let patches = hidden_states.dims()[1] - 1;
        let hidden_states = hidden_states.narrow(1, 1, patches).cast(DType::F32);
        ops::resample_grid(hidden_states, patches.isqrt(), side, Interpolation::Bilinear, None)
    }
}

#[derive(Module, Debug)]
struct Layer {
    norm1: LayerNorm,
    attention: SelfAttention,
    layer_scale1: Param<Tensor<1>>,
    norm2: LayerNorm,
    mlp: Mlp,
    layer_scale2: Param<Tensor<1>>,
}

impl Layer {
    fn new(config: &Dinov2Config, weights: &Weights) -> Self {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let attention = weights.at("attention");
        let inner = attention.at("attention");
        let projection = |name: &str| Linear::new(&inner.at(name), width, width, config.qkv_bias);
        Self {
            norm1: LayerNorm::new(&weights.at("norm1"), width, eps),
            attention: SelfAttention::new(
                [projection("query"), projection("key"), projection("value")],
                Linear::new(&attention.at("output.dense"), width, width, true),
                config.num_attention_heads,
            ),
            layer_scale1: weights.at("layer_scale1").tensor("lambda1", [width]),
            norm2: LayerNorm::new(&weights.at("norm2"), width, eps),
            mlp: Mlp::new(config, &weights.at("mlp")),
            layer_scale2: weights.at("layer_scale2").tensor("lambda1", [width]),
        }
    }

    fn forward(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let attended = self.attention.forward(self.norm1.forward(hidden_states.clone()));
        let hidden_states = ops::add_residual(hidden_states, attended, Some(self.layer_scale1.val()));
        let fed = self.mlp.forward(self.norm2.forward(hidden_states.clone()));
        ops::add_residual(hidden_states, fed, Some(self.layer_scale2.val()))
    }
}

/// The feed-forward: giant models have a SwiGLU, smaller ones a GELU MLP.
#[derive(Module, Debug)]
enum Mlp {
    SwiGlu(GatedMlp),
    Gelu(PlainMlp),
}

#[derive(Module, Debug)]
struct GatedMlp {
    weights_in: Linear,
    weights_out: Linear,
}

#[derive(Module, Debug)]
struct PlainMlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn new(config: &Dinov2Config, weights: &Weights) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size());
        if config.use_swiglu_ffn {
            Self::SwiGlu(GatedMlp {
                weights_in: Linear::new(&weights.at("weights_in"), width, 2 * inner, true),
                weights_out: Linear::new(&weights.at("weights_out"), inner, width, true),
            })
        } else {
            Self::Gelu(PlainMlp {
                fc1: Linear::new(&weights.at("fc1"), width, inner, true),
                fc2: Linear::new(&weights.at("fc2"), inner, width, true),
            })
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::SwiGlu(mlp) => mlp.weights_out.forward(mlp.weights_in.forward_swiglu(x)),
            Self::Gelu(mlp) => mlp.fc2.forward(mlp.fc1.forward_activated(x, Activation::Gelu)),
        }
    }
}
