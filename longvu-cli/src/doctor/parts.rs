//! The parts of the model: towers, aggregator, projector and language model.

use anyhow::Result;
use longvu::{
    burn::tensor::Tensor,
    checkpoint::config::{DecoderConfig, Dinov2Config, LanguageModel, SiglipConfig},
    llm::Decoder,
    vision::{AggregatorConfig, Dinov2, MmProjector, Siglip, SizePair, SpatialVisionAggregator},
};
use serde_json::json;

use super::{
    check::{Check, Kind, Size},
    place::{Place, values},
};

const fn part(name: &'static str, run: fn(&Place, Size) -> Result<Vec<f32>>) -> Check {
    Check { name, kind: Kind::Part, run, quantized: false }
}

/// What a question about a video goes through.
pub const CHECKS: &[Check] = &[
    part("dinov2", dinov2),
    part("siglip", siglip),
    part("aggregator", aggregator),
    part("mm_projector", mm_projector),
    part("decoder", decoder),
];

/// Those that have more layers when they are whole.
pub const WHOLE: [&str; 3] = ["dinov2", "siglip", "decoder"];

/// DINOv2-giant's sizes with so many layers, or small ones.
pub fn dinov2_config(size: Size) -> Result<Dinov2Config> {
    let config = match size {
        Size::Small => json!({
            "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "mlp_ratio": 4,
            "use_swiglu_ffn": true, "image_size": 98, "patch_size": 14,
        }),
        Size::Published | Size::Full => json!({
            "hidden_size": 1536, "num_hidden_layers": if size == Size::Full { 40 } else { 2 }, "num_attention_heads": 24,
            "mlp_ratio": 4, "use_swiglu_ffn": true, "image_size": 518, "patch_size": 14,
        }),
    };
    Ok(serde_json::from_value(config)?)
}

/// SigLIP so400m's sizes with so many layers, or small ones.
pub fn siglip_config(size: Size) -> Result<SiglipConfig> {
    let config = match size {
        Size::Small => json!({
            "hidden_size": 48, "intermediate_size": 112, "num_hidden_layers": 3, "num_attention_heads": 4,
            "image_size": 98, "patch_size": 14,
        }),
        Size::Published | Size::Full => json!({
            "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": if size == Size::Full { 27 } else { 2 },
            "num_attention_heads": 16, "image_size": 384, "patch_size": 14,
        }),
    };
    Ok(serde_json::from_value(config)?)
}

/// Qwen2-7B's sizes with a layer or four and a part of the vocabulary, or small ones.
pub fn decoder_config(size: Size) -> Result<DecoderConfig> {
    let config = match size {
        Size::Small => json!({
            "hidden_size": 48, "intermediate_size": 112, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "vocab_size": 160, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        }),
        Size::Published | Size::Full => json!({
            "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": if size == Size::Full { 4 } else { 1 },
            "num_attention_heads": 28, "num_key_value_heads": 4,
            "vocab_size": if size == Size::Full { 152_064 } else { 4096 }, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        }),
    };
    Ok(serde_json::from_value(config)?)
}

fn dinov2(place: &Place, size: Size) -> Result<Vec<f32>> {
    let config = dinov2_config(size)?;
    let tower = place.load(|weights| Dinov2::new(&config, weights))?;
    let side = size.pick(70, 378);
    Ok(values(tower.features(place.tensor("pixels", [1, 3, side, side]), size.pick(4, 24))))
}

fn siglip(place: &Place, size: Size) -> Result<Vec<f32>> {
    let config = siglip_config(size)?;
    let tower = place.load(|weights| Siglip::new(&config, weights))?;
    let side = size.pick(98, 384);
    Ok(values(tower.features(place.tensor("pixels", [1, 3, side, side]), size.pick(6, 24))))
}

fn aggregator_config(size: Size) -> AggregatorConfig {
    let mut config = AggregatorConfig::published(size.pick([48, 48], [1152, 1536]));
    if size == Size::Small {
        (config.channels, config.heads, config.feature_side, config.query_side) = (64, 4, 8, 4);
    }
    config
}

fn aggregator(place: &Place, size: Size) -> Result<Vec<f32>> {
    let config = aggregator_config(size);
    let tokens = config.feature_side * config.feature_side;
    let aggregator = place.load(|weights| SpatialVisionAggregator::new(&config, &weights.at("model")))?;
    let [siglip, dinov2] = config.tower_channels;
    let siglip = place.tensor("siglip", [2, tokens, siglip]);
    let dinov2 = place.tensor("dinov2", [2, tokens, dinov2]);
    Ok(values(aggregator.forward(siglip, dinov2, SizePair::of_video(640, 360))))
}

fn mm_projector(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [inputs, outputs] = size.pick([64, 48], [1024, 3584]);
    let projector = place.load(|weights| MmProjector::new(inputs, outputs, &weights.at("model")))?;
    Ok(values(projector.forward(place.tensor("x", [2, size.pick(16, 144), inputs]))))
}

/// What a prompt ends in, and scores of the vocabulary for two tokens after it.
fn decoder(place: &Place, size: Size) -> Result<Vec<f32>> {
    let config = decoder_config(size)?;
    let decoder = place.load(|weights| Decoder::new(&config, LanguageModel::Qwen2, weights))?;
    let positions = size.pick(24, 700);
    let mut cache = decoder.new_cache(positions + 2);
    let prompt = place.tensor("prompt", [1, positions, config.hidden_size]);
    let last = values(decoder.prefill(prompt, &mut cache, size.pick(16, 512)));
    let step = |id: u32, cache: &mut _| -> Tensor<3> { decoder.forward(decoder.embed(&[id]).unsqueeze(), cache) };
    let logits = [7, 11].map(|id| values(decoder.logits(step(id, &mut cache))));
    Ok([last, logits.concat()].concat())
}
