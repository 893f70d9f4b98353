//! Towers and decoder layers at the published sizes, with weights by the synthetic rule.

use std::sync::Arc;

use longvu::{
    Watch,
    checkpoint::{
        LoadOptions, Synthetic, TensorRole, TensorSpec, Weights,
        config::{DecoderConfig, Dinov2Config, LanguageModel, SiglipConfig},
        declare, load,
        nn::Linear,
    },
    llm::{Decoder, Generation, GenerationConfig},
    vision::{Dinov2, Siglip},
};
use serde_json::json;

use crate::{Case, Result, Work, stages::values};

/// Vocabulary of decoders that are timed for their layers.
const SMALL_VOCABULARY: usize = 64;

/// Bytes of an activation on the CPU.
const ACTIVATION: usize = size_of::<f32>();

fn build<M>(options: &LoadOptions, build: impl Fn(&Weights) -> M) -> Result<M> {
    Ok(load(Arc::new(Synthetic), options, build)?.0)
}

/// The matrices that a position is multiplied with: `[outputs, inputs]`, patch embeddings flattened.
fn matrices<M>(build: impl FnOnce(&Weights) -> M) -> Vec<[usize; 2]> {
    let used = |spec: &TensorSpec| {
        spec.role == TensorRole::Parameter
            && spec.name.ends_with("weight")
            && spec.shape.len() > 1
            && !["position_embedding", "embed_tokens", "lm_head"].iter().any(|part| spec.name.contains(part))
    };
    let specs = declare(build).into_iter().filter(used);
    specs.map(|spec| [spec.shape[0], spec.shape[1..].iter().product()]).collect()
}

fn parameters(matrices: &[[usize; 2]]) -> usize {
    matrices.iter().map(|[outputs, inputs]| outputs * inputs).sum()
}

/// Bytes that `options` hold the matrices in.
fn stored_bytes(matrices: &[[usize; 2]], options: &LoadOptions) -> usize {
    let bytes = |&[outputs, inputs]: &[usize; 2]| match options.weights.quantize {
        Some(quantize) => quantize.bytes(outputs, inputs),
        None => outputs * inputs * options.weights.dtype.size(),
    };
    matrices.iter().map(bytes).sum()
}

/// Operations of a tower's forward pass over one frame.
fn tower_flop(matrices: &[[usize; 2]], tokens: usize, width: usize, layers: usize) -> Work {
    Work::Flop(2 * tokens * parameters(matrices) + 4 * layers * tokens * tokens * width)
}

pub fn dinov2(options: &LoadOptions) -> Result<Case> {
    let config: Dinov2Config = serde_json::from_value(json!({
        "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "mlp_ratio": 4,
        "use_swiglu_ffn": true, "image_size": 518, "patch_size": 14,
    }))?;
    let tower = build(options, |w| Dinov2::new(&config, w))?;
    let pixels = values("pixels", [1, 3, 378, 378], &options.device);
    let work = tower_flop(&matrices(|w| Dinov2::new(&config, w)), 1 + 27 * 27, 1536, 40);
    Ok(Case::new(work, move || tower.forward(pixels.clone())))
}

pub fn siglip(options: &LoadOptions) -> Result<Case> {
    let config: SiglipConfig = serde_json::from_value(json!({
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14,
    }))?;
    let tower = build(options, |w| Siglip::new(&config, w))?;
    let pixels = values("pixels", [1, 3, 384, 384], &options.device);
    let work = tower_flop(&matrices(|w| Siglip::new(&config, w)), 27 * 27, 1152, 27);
    Ok(Case::new(work, move || tower.forward(pixels.clone())))
}

/// A decoder's sizes and family.
pub struct Family(LanguageModel, DecoderConfig);

/// The first layers of Qwen2-7B.
pub fn qwen2(layers: usize) -> Result<Family> {
    let config = json!({
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": layers, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": SMALL_VOCABULARY, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    });
    Ok(Family(LanguageModel::Qwen2, serde_json::from_value(config)?))
}

/// The first layers of Llama-3.2-1B.
pub fn llama(layers: usize) -> Result<Family> {
    let config = json!({
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": layers, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": SMALL_VOCABULARY, "rms_norm_eps": 1e-5, "rope_theta": 5e5,
    });
    Ok(Family(LanguageModel::Llama, serde_json::from_value(config)?))
}

impl Family {
    fn build(&self, weights: &Weights) -> Decoder {
        Decoder::new(&self.1, self.0, weights)
    }

    /// Bytes of keys and values of `positions`.
    fn cache_bytes(&self, positions: usize) -> usize {
        positions * 2 * self.1.num_hidden_layers * self.1.kv_heads() * self.1.head_size() * ACTIVATION
    }
}

/// A prompt of `positions`, up to the first token's logits.
pub fn prefill(family: &Family, options: &LoadOptions, positions: usize) -> Result<Case> {
    let decoder = Arc::new(build(options, |w| family.build(w))?);
    let config = &family.1;
    let embeds = values("embeds", [positions, config.hidden_size], &options.device);
    let pairs = positions * (positions + 1) / 2;
    let attention = 4 * config.num_hidden_layers * pairs * config.num_attention_heads * config.head_size();
    let products = 2 * positions * parameters(&matrices(|w| family.build(w)));
    let generation = GenerationConfig::default().with_max_new_tokens(1);
    let run = move || {
        let generation = Generation::new(decoder.clone(), embeds.clone(), None, &generation, Watch::default());
        generation.expect("settings are in range").into_cache()
    };
    Ok(Case { cache: Some(family.cache_bytes(positions + 1)), ..Case::new(Work::Flop(products + attention), run) })
}

/// One token after `positions`.
pub fn decode(family: &Family, options: &LoadOptions, positions: usize) -> Result<Case> {
    let decoder = build(options, |w| family.build(w))?;
    let width = family.1.hidden_size;
    let mut cache = decoder.new_cache(positions + 1);
    decoder.prefill(values("prompt", [1, positions, width], &options.device), &mut cache, 1024);
    let embeds = values("token", [1, 1, width], &options.device);
    let bytes = stored_bytes(&matrices(|w| family.build(w)), options) + family.cache_bytes(positions);
    Ok(Case::new(Work::Bytes(bytes), move || {
        cache.truncate(positions);
        decoder.forward(embeds.clone(), &mut cache)
    }))
}

/// The vocabulary's scores of one position.
pub fn lm_head(width: usize, vocabulary: usize, options: &LoadOptions) -> Result<Case> {
    let head = build(options, |w| Linear::new(w, width, vocabulary, false))?;
    let state = values("state", [1, 1, width], &options.device);
    let bytes = stored_bytes(&[[vocabulary, width]], options);
    Ok(Case::new(Work::Bytes(bytes), move || head.forward(state.clone())))
}
