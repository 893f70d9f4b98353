//! SigLIP's sigmoid loss: every image against every caption of a group, each pair a question of its own.
//!
//! Beside the captions of a group stand as many that are wrong in one word, two for every image: shapes and digits matter
//! then, where colours and backgrounds would be enough to tell a group's images apart. And the text tower also says each
//! caption from the image's patches, word for word, as SigLIP 2 is trained (arXiv 2502.14786, section 2.2): that teaches
//! every patch what it shows, in a fraction of the pictures.

use std::{collections::BTreeMap, sync::Arc};

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use longvu_checkpoint::{
    TensorLookup, TensorSpec, Weights, build,
    config::{DecoderConfig, LanguageModel, SiglipConfig},
    declare,
    nn::Linear,
};
use longvu_core::{Dtype, ops};
use longvu_llm::{Decoder, Tokenizer};
use longvu_vision::Siglip;

use super::{
    head::PoolingHead,
    pictures::{Pictures, disturb},
};
use crate::{Loss, Objective, Parameters, Result, Workers, matching::pair_loss, scored::Scored};

/// Both halves: the vision tower with its pooling head, and a text tower that is not kept.
struct TwoTowers {
    vision: Siglip,
    head: PoolingHead,
    text: Decoder,
    projection: Linear,
    /// From the image's patches to the text tower's width.
    patches: Linear,
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
            patches: Linear::new(&text_model.at("patches"), config.hidden_size, text.hidden_size, true),
            logit_scale: weights.tensor("logit_scale", [1]),
            logit_bias: weights.tensor("logit_bias", [1]),
        }
    }

    /// Embeddings of captions, `[captions, longest, width]`, padded at the end, where causal attention does not see it.
    fn embed(&self, ids: &[Vec<u32>]) -> Tensor<3> {
        let longest = ids.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let padded: Vec<u32> =
            ids.iter().flat_map(|ids| ids.iter().copied().chain(std::iter::repeat_n(0, longest - ids.len()))).collect();
        let embeds = self.text.embed(&padded);
        let width = embeds.dims()[1];
        embeds.reshape([ids.len(), longest, width])
    }

    /// Unit vectors of captions, `[captions, channels]`: the last word's place has seen all of them.
    fn captions(&self, ids: &[Vec<u32>]) -> Tensor<2> {
        let states = self.text.forward_sequences(self.embed(ids));
        let [captions, longest, width] = states.dims();
        let last: Vec<usize> = ids.iter().enumerate().map(|(i, ids)| i * longest + ids.len().max(1) - 1).collect();
        let states = states.reshape([captions * longest, width]);
        unit(self.projection.forward(ops::select_rows(states, &last)))
    }

    /// Every word of a caption, seen the image's patches `[images, patches, channels]` and the words before it.
    fn say(&self, patches: Tensor<3>, ids: &[Vec<u32>]) -> Scored {
        let embeds = self.embed(ids);
        let ([images, count, _], [_, longest, width]) = (patches.dims(), embeds.dims());
        let states = self.text.forward_sequences(Tensor::cat(vec![self.patches.forward(patches), embeds], 1));
        let states = states.reshape([images * (count + longest), width]);
        // The place before a word, the last patch's for the first of them, says it.
        let before = |(i, ids): (usize, &Vec<u32>)| {
            let first = i * (count + longest) + count - 1;
            first..first + ids.len()
        };
        let rows: Vec<usize> = ids.iter().enumerate().flat_map(before).collect();
        let words = rows.len();
        let logits = self.text.logits(ops::select_rows(states, &rows).unsqueeze::<3>());
        let vocab_size = logits.dims()[2];
        Scored { logits: logits.reshape([words, vocab_size]), targets: ids.concat() }
    }
}

fn unit(x: Tensor<2>) -> Tensor<2> {
    let norm = (x.clone().square().sum_dim(1) + 1e-12).sqrt();
    x / norm
}

/// Image-text training of the SigLIP tower.
pub struct SiglipObjective {
    name: String,
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
        name: String,
        config: SiglipConfig,
        tokenizer: Arc<Tokenizer>,
        [pictures, held_out]: [Pictures; 2],
        group: usize,
    ) -> Self {
        let text = text_tower(config.hidden_size, config.num_attention_heads, tokenizer.vocab_size());
        Self { name, config, text, tokenizer, pictures, held_out, group }
    }

    fn build(&self, weights: &Weights) -> TwoTowers {
        TwoTowers::new(&self.config, &self.text, weights)
    }

    /// A group's pairs: true captions first, then altered ones.
    fn pairs(&self, towers: &TwoTowers, source: &Pictures, index: u64, device: &Device) -> Result<Pairs> {
        let (mut pictures, mut ids, mut altered) = (Vec::new(), Vec::new(), Vec::new());
        let mut images: Vec<usize> = (0..self.group).collect();
        for sample in 0..self.group {
            let mut scene = source.scene(index, sample)?;
            let mut picture = source.picture(&scene.script, scene.time)?;
            disturb(&mut picture, &mut scene.rng);
            pictures.push(picture);
            ids.push(self.tokenizer.encode(&scene.script.caption(scene.time, index))?);
            for variant in 0..ALTERED {
                let variant = index.wrapping_add(variant << 32);
                if let Some(caption) = scene.script.altered_caption(scene.time, variant) {
                    altered.push(self.tokenizer.encode(&caption)?);
                    images.push(sample);
                }
            }
        }
        ids.extend(altered);
        let patches = towers.vision.forward(source.preprocessor.pixel_values(&pictures, device, Dtype::F32));
        let cosines = unit(towers.head.forward(patches.clone())).matmul(towers.captions(&ids).transpose());
        let said = towers.say(patches, &ids[..self.group]);
        Ok(Pairs { cosines, images, said })
    }
}

impl Objective for SiglipObjective {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        format!("{:?} {:?} {}", self.config, self.text, self.pictures.describe())
    }

    fn specs(&self) -> Vec<TensorSpec> {
        // The pooling head is this stage's to use, though inference has no use for it.
        let mut specs = declare(|weights| self.build(weights));
        specs.retain(|spec| spec.role == longvu_checkpoint::TensorRole::Parameter);
        specs
    }

    fn loss(&self, parameters: Arc<TensorLookup>, index: u64) -> Result<Loss> {
        let towers = build(parameters, |weights| self.build(weights))?;
        let scale = towers.logit_scale.val();
        let Pairs { cosines, images, said } = self.pairs(&towers, &self.pictures, index, &scale.device())?;
        let signs: Vec<f32> = (0..self.group * images.len())
            .map(|i| if i / images.len() == i % images.len() { 1.0 } else { -1.0 })
            .collect();
        let logits = cosines * scale.exp().unsqueeze() + towers.logit_bias.val().unsqueeze();
        Ok(Loss { sum: pair_loss(logits, &signs) + said.loss(), weight: self.group as f64 })
    }

    fn validate(&self, parameters: &Parameters, workers: &Workers) -> Result<BTreeMap<String, f64>> {
        let towers = build(parameters.constants().lookup(), |weights| self.build(weights))?;
        let groups = (VALIDATION_PICTURES / self.group).max(1) as u64;
        let counts = workers.map((0..groups).collect(), |index| {
            let Pairs { cosines, images, said } = self.pairs(&towers, &self.held_out, index, parameters.device())?;
            let cosines: Vec<f32> = cosines.into_data().iter::<f32>().collect();
            let best = |image: usize, among: &dyn Fn(usize) -> bool| {
                let row = &cosines[image * images.len()..][..images.len()];
                (0..images.len()).all(|caption| !among(caption) || row[caption] <= row[image])
            };
            let count = |among: &dyn Fn(usize, usize) -> bool| {
                (0..self.group).filter(|&image| best(image, &|caption| among(image, caption))).count() as f64
            };
            let found = count(&|_, caption| caption < self.group);
            let told = count(&|image, caption| images[caption] == image);
            Ok([found, told, said.right() as f64, said.len() as f64])
        })?;
        let pictures = groups as f64 * self.group as f64;
        let sum = |k: usize| counts.iter().map(|counts| counts[k]).sum::<f64>();
        Ok(BTreeMap::from([
            ("caption found".to_owned(), sum(0) / pictures),
            ("told from altered".to_owned(), sum(1) / pictures),
            ("words said".to_owned(), sum(2) / sum(3).max(1.0)),
        ]))
    }
}

/// Pictures that a validation takes, or one group of them.
const VALIDATION_PICTURES: usize = 384;

/// Altered captions for every image.
const ALTERED: u64 = 2;

/// Every image of a group with every caption.
struct Pairs {
    /// `[images, captions]`.
    cosines: Tensor<2>,
    /// The image that each caption is about: of the first captions, which are true, their own place.
    images: Vec<usize>,
    /// The true captions' words.
    said: Scored,
}

/// Sizes of the text tower beside a vision tower of the given width.
fn text_tower(width: usize, heads: usize, vocab_size: usize) -> DecoderConfig {
    let mut config = DecoderConfig::new(vocab_size, 2, width, heads);
    config.tie_word_embeddings = true;
    config.max_position_embeddings = 1024;
    config
}
