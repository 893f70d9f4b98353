//! SigLIP's sigmoid loss: every image against every caption of a group, each pair a question of its own.

use std::{collections::BTreeMap, sync::Arc};

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use longvu_core::{
    Dtype, TensorLookup, TensorSpec, Weights, build,
    config::{DecoderConfig, LanguageModel, SiglipConfig},
    declare,
    nn::Linear,
    ops,
};
use longvu_llm::{Decoder, Tokenizer};
use longvu_vision::Siglip;

use super::{
    head::PoolingHead,
    pictures::{Pictures, disturb},
};
use crate::{Loss, Objective, Parameters, Result, Workers, matching::pair_loss};

/// Both halves: the vision tower with its pooling head, and a text tower that is not kept.
struct TwoTowers {
    vision: Siglip,
    head: PoolingHead,
    text: Decoder,
    projection: Linear,
    logit_scale: Param<Tensor<1>>,
    logit_bias: Param<Tensor<1>>,
}

impl TwoTowers {
    fn new(config: &SiglipConfig, text: &DecoderConfig, weights: &Weights) -> Self {
        let text_model = weights.at("text_model");
        Self {
            vision: Siglip::new(config, weights),
            head: PoolingHead::new(config, weights),
            text: Decoder::new(text, LanguageModel::Qwen2, &text_model),
            projection: Linear::new(&text_model.at("head"), text.hidden_size, config.hidden_size, true),
            logit_scale: weights.tensor("logit_scale", [1]),
            logit_bias: weights.tensor("logit_bias", [1]),
        }
    }

    /// Unit vectors of images, `[images, channels]`.
    fn images(&self, pixel_values: Tensor<4>) -> Tensor<2> {
        unit(self.head.forward(self.vision.forward(pixel_values)))
    }

    /// Unit vectors of captions, `[captions, channels]`: the last word's place has seen all of them.
    fn captions(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let longest = ids.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let padded: Vec<u32> =
            ids.iter().flat_map(|ids| ids.iter().copied().chain(std::iter::repeat_n(0, longest - ids.len()))).collect();
        let embeds = self.text.embed(&padded);
        let width = embeds.dims()[1];
        let states = self.text.forward_sequences(embeds.reshape([ids.len(), longest, width]));
        let last: Vec<usize> = ids.iter().enumerate().map(|(i, ids)| i * longest + ids.len().max(1) - 1).collect();
        let states = states.reshape([ids.len() * longest, width]);
        unit(self.projection.forward(ops::select_rows(states, &last)))
    }
}

fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = (x.clone().square().sum_dim(1) + 1e-12).sqrt();
    x / norm
}

/// Image-text training of the SigLIP tower.
pub struct SiglipObjective {
    config: SiglipConfig,
    text: DecoderConfig,
    tokenizer: Arc<Tokenizer>,
    pictures: Pictures,
    held_out: Pictures,
    group: usize,
}

impl SiglipObjective {
    /// Training on pictures, validated on held-out ones, in groups of `group` pairs.
    pub(crate) fn new(
        config: SiglipConfig,
        tokenizer: Arc<Tokenizer>,
        [pictures, held_out]: [Pictures; 2],
        group: usize,
    ) -> Self {
        let text = text_tower(config.hidden_size, config.num_attention_heads, tokenizer.vocab_size());
        Self { config, text, tokenizer, pictures, held_out, group }
    }

    fn build(&self, weights: &Weights) -> TwoTowers {
        TwoTowers::new(&self.config, &self.text, weights)
    }

    /// Cosines `[images, captions]` of a group's pairs.
    fn cosines(&self, towers: &TwoTowers, source: &Pictures, index: u64, device: &Device) -> Result<Tensor<2>> {
        let (mut pictures, mut ids) = (Vec::new(), Vec::new());
        for sample in 0..self.group {
            let mut scene = source.scene(index, sample)?;
            let mut picture = source.picture(&scene.script, scene.time)?;
            disturb(&mut picture, &mut scene.rng);
            pictures.push(picture);
            ids.push(self.tokenizer.encode(&scene.script.caption(scene.time, index))?);
        }
        let pixel_values = source.preprocessor.pixel_values(&pictures, device, Dtype::F32);
        Ok(towers.images(pixel_values).matmul(towers.captions(&ids).transpose()))
    }
}

impl Objective for SiglipObjective {
    fn name(&self) -> &str {
        "siglip"
    }

    fn description(&self) -> String {
        format!("{:?} {:?} {}", self.config, self.text, self.pictures.describe())
    }

    fn specs(&self) -> Vec<TensorSpec> {
        // The pooling head is this stage's to use, though inference has no use for it.
        let mut specs = declare(|weights| self.build(weights));
        specs.retain(|spec| spec.role == longvu_core::TensorRole::Parameter);
        specs
    }

    fn loss(&self, parameters: Arc<TensorLookup>, index: u64) -> Result<Loss> {
        let towers = build(parameters, |weights| self.build(weights))?;
        let scale = towers.logit_scale.val();
        let cosines = self.cosines(&towers, &self.pictures, index, &scale.device())?;
        let logits = cosines * scale.exp().unsqueeze() + towers.logit_bias.val().unsqueeze();
        Ok(Loss { sum: pair_loss(logits, &identity(self.group)), weight: self.group as f64 })
    }

    fn validate(&self, parameters: &Parameters, workers: &Workers) -> Result<BTreeMap<String, f64>> {
        let towers = build(parameters.constants().lookup(), |weights| self.build(weights))?;
        let right = workers.map((0..VALIDATION_GROUPS).collect(), |index| {
            let cosines = self.cosines(&towers, &self.held_out, index, parameters.device())?;
            let best: Vec<i64> = cosines.argmax(1).into_data().iter::<i64>().collect();
            Ok(best.iter().enumerate().filter(|(i, best)| *i as i64 == **best).count())
        })?;
        let share = right.iter().sum::<usize>() as f64 / (VALIDATION_GROUPS as usize * self.group) as f64;
        Ok(BTreeMap::from([("caption found".to_owned(), share)]))
    }
}

/// Groups that a validation takes.
const VALIDATION_GROUPS: u64 = 6;

/// 1 for the pair of an image and its own caption, -1 for others: `[group, group]`.
fn identity(group: usize) -> Vec<f32> {
    (0..group * group).map(|i| if i / group == i % group { 1.0 } else { -1.0 }).collect()
}

/// Sizes of the text tower beside a vision tower of the given width.
fn text_tower(width: usize, heads: usize, vocab_size: usize) -> DecoderConfig {
    DecoderConfig {
        hidden_size: width,
        intermediate_size: 2 * width,
        num_hidden_layers: 2,
        num_attention_heads: heads,
        num_key_value_heads: None,
        head_dim: None,
        vocab_size,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        attention_bias: false,
        mlp_bias: false,
        hidden_act: "silu".into(),
        max_position_embeddings: 64,
        use_sliding_window: false,
        bos_token_id: None,
        eos_token_id: None,
        pad_token_id: None,
    }
}
