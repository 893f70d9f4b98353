//! SigLIP's vision half: a vision transformer without a class token.
//!
//! The names of the fields are those of the state dict of `google/siglip-*`.

use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use longvu_checkpoint::{
    Weights,
    config::SiglipConfig,
    nn::{LayerNorm, Linear},
};
use longvu_core::ops::{self, Activation, Interpolation};

use crate::{attention::SelfAttention, patch::PatchEmbed};

/// A SigLIP vision tower.
#[derive(Module, Debug)]
pub struct Siglip {
    patch_embed: PatchEmbed,
    position_embedding: Param<Tensor<2>>,
    layers: Vec<Layer>,
}

impl Siglip {
    /// Takes a tower of the sizes in `config` from `weights`, whose names begin with `vision_model`.
    pub fn new(config: &SiglipConfig, weights: &Weights) -> Self {
        let width = config.hidden_size;
        let weights = weights.at("vision_model");
        let embeddings = weights.at("embeddings");
        let positions = config.patch_side().pow(2);
        declare_head(config, &weights);
        Self {
            patch_embed: PatchEmbed::new(&embeddings.at("patch_embedding"), width, config.patch_size),
            position_embedding: embeddings.at("position_embedding").tensor("weight", [positions, width]),
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::new(config, &weights.at("encoder.layers").at(i)))
                .collect(),
        }
    }

    /// Runs the tower and returns the output of the last layer *before* the closing layer norm, which is the last
    /// entry of `hidden_states` in Hugging Face's terms.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, patches, channels]`
    pub fn forward(&self, pixel_values: Tensor<4>) -> Tensor<3> {
        let mut hidden_states = self.embeddings(pixel_values);
        for layer in &self.layers {
            hidden_states = ops::in_pool(hidden_states, |x| layer.forward(x));
        }
        hidden_states
    }

    /// [`Siglip::forward`], and the attention that each patch received in the last layer but one, the mean over heads and
    /// queries: what says which patches matter in a tower without a class token. It adds up to 1 in each frame, in float32.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, patches, channels]`, `[frames, patches]`
    pub fn forward_with_attention(&self, pixel_values: Tensor<4>) -> (Tensor<3>, Tensor<2>) {
        let mut hidden_states = self.embeddings(pixel_values);
        let [frames, patches, _] = hidden_states.dims();
        // Patches of a tower without layers attend to nothing, and none is before another.
        let even = || Tensor::full([frames, patches], 1.0 / patches as f64, (&hidden_states.device(), DType::F32));
        let mut received = even();
        let attended = self.layers.len().saturating_sub(2);
        for (i, layer) in self.layers.iter().enumerate() {
            if i == attended {
                received = layer.received(hidden_states.clone());
            }
            hidden_states = ops::in_pool(hidden_states, |x| layer.forward(x));
        }
        (hidden_states, received)
    }

    /// Patches with their positions, the first entry of `hidden_states`: `[frames, patches, channels]`.
    pub fn embeddings(&self, pixel_values: Tensor<4>) -> Tensor<3> {
        self.patch_embed.forward(pixel_values) + self.position_embedding.val().unsqueeze()
    }

    /// The features that LongVU uses: [`Siglip::forward`] resampled to `side x side`, in float32.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, side * side, channels]`
    pub fn features(&self, pixel_values: Tensor<4>, side: usize) -> Tensor<3> {
        resample(self.forward(pixel_values), side)
    }

    /// [`Siglip::features`], the same to the bit, and the attention of [`Siglip::forward_with_attention`] resampled likewise.
    ///
    /// # Shapes
    /// - `pixel_values`: `[frames, 3, size, size]`
    /// - output: `[frames, side * side, channels]`, `[frames, side * side]`
    pub fn features_with_attention(&self, pixel_values: Tensor<4>, side: usize) -> (Tensor<3>, Tensor<2>) {
        let (hidden_states, received) = self.forward_with_attention(pixel_values);
        (resample(hidden_states, side), resample(received.unsqueeze_dim(2), side).squeeze_dim(2))
    }
}

/// A square grid of patches as one of `side x side`, in float32.
fn resample(patches: Tensor<3>, side: usize) -> Tensor<3> {
    let from = patches.dims()[1].isqrt();
    ops::resample_grid(patches.cast(DType::F32), from, side, Interpolation::Bilinear, None)
}

/// Notes the closing norm and the attention-pooling head, which published files carry and LongVU does not use.
fn declare_head(config: &SiglipConfig, weights: &Weights) {
    let (width, inner) = (config.hidden_size, config.intermediate_size);
    let head = weights.at("head");
    head.unused("probe", &[1, 1, width]);
    let attention = head.at("attention");
    attention.unused("in_proj_weight", &[3 * width, width]);
    attention.unused("in_proj_bias", &[3 * width]);
    for (part, shape) in [
        (attention.at("out_proj"), [width, width]),
        (head.at("mlp.fc1"), [inner, width]),
        (head.at("mlp.fc2"), [width, inner]),
    ] {
        part.unused("weight", &shape);
        part.unused("bias", &shape[..1]);
    }
    for norm in [head.at("layernorm"), weights.at("post_layernorm")] {
        norm.unused("weight", &[width]);
        norm.unused("bias", &[width]);
    }
}

#[derive(Module, Debug)]
struct Layer {
    layer_norm1: LayerNorm,
    self_attn: SelfAttention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Layer {
    fn new(config: &SiglipConfig, weights: &Weights) -> Self {
        let (width, inner, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        let attention = weights.at("self_attn");
        let projection = |name: &str| Linear::new(&attention.at(name), width, width, true);
        Self {
            layer_norm1: LayerNorm::new(&weights.at("layer_norm1"), width, eps),
            self_attn: SelfAttention::new(
                [projection("q_proj"), projection("k_proj"), projection("v_proj")],
                projection("out_proj"),
                config.num_attention_heads,
            ),
            layer_norm2: LayerNorm::new(&weights.at("layer_norm2"), width, eps),
            fc1: Linear::new(&weights.at("mlp.fc1"), width, inner, true),
            fc2: Linear::new(&weights.at("mlp.fc2"), inner, width, true),
        }
    }

    fn received(&self, hidden_states: Tensor<3>) -> Tensor<2> {
        self.self_attn.received(self.layer_norm1.forward(hidden_states))
    }

    fn forward(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        let attended = self.self_attn.forward(self.layer_norm1.forward(hidden_states.clone()));
        let hidden_states = ops::add_residual(hidden_states, attended, None);
        let hidden = self.layer_norm2.forward(hidden_states.clone());
        let hidden = self.fc1.forward_activated(hidden, Activation::GeluTanh);
        ops::add_residual(hidden_states, self.fc2.forward(hidden), None)
    }
}
