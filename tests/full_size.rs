//! Full-size modules filled by the synthetic rule, against PyTorch.
//!
//! These take about 6 GB of memory and about a minute, so they run on request:
//! `cargo test --test full_size -- --ignored --test-threads=1`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

// The golden cases share their support; of it only the reading of files is used here.
#[allow(dead_code)]
#[path = "cases/support.rs"]
mod support;

use std::{path::PathBuf, sync::Arc};

use burn::tensor::{Int, Tensor, TensorData};
use longvu::{
    Dtype, Quantize, WeightFormat,
    checkpoint::{
        LoadOptions, Synthetic, Weights,
        config::{DecoderConfig, Dinov2Config, LanguageModel, SiglipConfig},
        load, synthetic_values,
    },
    llm::Decoder,
    vision::{AggregatorConfig, Dinov2, MmProjector, Siglip, SizePair, SpatialVisionAggregator},
};
use serde_json::json;
use support::{Case, assert_close, device, golden_dir};

const TOLERANCE: f64 = 1e-3;

fn case(name: &str) -> Case {
    let path: PathBuf = golden_dir().join("full").join(format!("{name}.safetensors"));
    Case::open(&path)
}

fn synthetic<M>(build: impl Fn(&Weights) -> M) -> M {
    synthetic_as(Dtype::F32, None, build)
}

fn synthetic_as<M>(dtype: Dtype, quantize: Option<Quantize>, build: impl Fn(&Weights) -> M) -> M {
    let options = LoadOptions::new("synthetic", &device(), WeightFormat::from(dtype).with_quantize(quantize));
    load(Arc::new(Synthetic), &options, build).unwrap().0
}

fn input<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    let values = synthetic_values(&format!("embed_tokens.input.{name}"), &shape);
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// Rows `0, step, 2 * step, ...` of `[1, rows, channels]`, `count` of them.
fn every(x: Tensor<3>, step: usize, count: usize) -> Tensor<3> {
    let rows: Vec<i64> = (0..count).map(|i| (i * step) as i64).collect();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [count]), &x.device());
    x.select(1, rows)
}

fn dinov2_giant_config() -> serde_json::Value {
    json!({
        "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "mlp_ratio": 4,
        "use_swiglu_ffn": true, "image_size": 518, "patch_size": 14,
    })
}

fn siglip_so400m_config() -> serde_json::Value {
    json!({
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14,
    })
}

fn qwen2_7b_config() -> serde_json::Value {
    json!({
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 2, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 152_064, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    })
}

#[test]
#[ignore = "4.5 GB and 20 s"]
fn dinov2_giant() {
    let case = case("full_dinov2_giant");
    let config: Dinov2Config = serde_json::from_value(dinov2_giant_config()).unwrap();
    let tower = synthetic(|w| Dinov2::new(&config, w));
    let last = tower.forward(input("dinov2", [1, 3, 378, 378]));
    let patches = last.dims()[1] - 1;
    let kept = every(last.narrow(1, 1, patches), 91, case.shape("last_hidden_state")[0]);
    assert_close("DINOv2-giant", kept, &case.floats("last_hidden_state"), TOLERANCE);
}

#[test]
#[ignore = "2 GB and 10 s"]
fn siglip_so400m() {
    let case = case("full_siglip_so400m");
    let config: SiglipConfig = serde_json::from_value(siglip_so400m_config()).unwrap();
    let tower = synthetic(|w| Siglip::new(&config, w));
    let last = tower.forward(input("siglip", [1, 3, 384, 384]));
    let kept = every(last, 91, case.shape("hidden_state")[0]);
    assert_close("SigLIP so400m", kept, &case.floats("hidden_state"), TOLERANCE);
}

#[test]
#[ignore = "0.2 GB and 2 s"]
fn connector() {
    let case = case("full_connector");
    let config = AggregatorConfig::published([1152, 1536]);
    let (aggregator, projector) = synthetic(|w| {
        let model = w.at("model");
        (SpatialVisionAggregator::new(&config, &model), MmProjector::new(1024, 3584, &model))
    });
    let (siglip, dinov2) = (input("connector.0", [1, 576, 1152]), input("connector.1", [1, 576, 1536]));
    let sampled = aggregator.forward(siglip, dinov2, SizePair::of_video(384, 384));
    let count = case.shape("sampled")[0];
    assert_close("aggregator", every(sampled.clone(), 12, count), &case.floats("sampled"), TOLERANCE);
    let projected = every(projector.forward(sampled), 12, count);
    assert_close("mm_projector", projected, &case.floats("projected"), TOLERANCE);
}

fn language_model(name: &str, input_name: &str, family: LanguageModel, config: serde_json::Value) {
    let case = case(name);
    let config: DecoderConfig = serde_json::from_value(config).unwrap();
    let decoder = synthetic(|w| Decoder::new(&config, family, w));
    let embeds = input(input_name, [1, 24, config.hidden_size]);
    let last = decoder.forward(embeds, &mut decoder.new_cache(24));
    let kept = every(last.clone(), 4, case.shape("final_norm_out")[0]);
    assert_close(&format!("{name}, final norm"), kept, &case.floats("final_norm_out"), TOLERANCE);
    let logits = decoder.logits(last.narrow(1, 23, 1));
    assert_close(&format!("{name}, logits"), logits, &case.floats("last_logits"), TOLERANCE);
}

#[test]
#[ignore = "6.5 GB and 20 s"]
fn qwen2_7b_2_layers() {
    language_model("full_qwen2_2_layers", "qwen2", LanguageModel::Qwen2, qwen2_7b_config());
}

#[test]
#[ignore = "4 GB and 15 s"]
fn llama_3b_2_layers() {
    let config = json!({
        "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 24,
        "num_key_value_heads": 8, "vocab_size": 128_261, "rms_norm_eps": 1e-5, "rope_theta": 5e5,
    });
    language_model("full_llama_2_layers", "llama", LanguageModel::Llama, config);
}

/// Ways to hold weights and to multiply in, and the greatest relative errors that they may cause in DINOv2, SigLIP and
/// Qwen2: what PyTorch loses when it rounds alike (`tools/few_bits_reference.py --full`), and 2e-3 in f16.
const STORAGE: [(Dtype, Option<Quantize>, [f64; 3]); 4] = [
    (Dtype::F16, None, [2e-3; 3]),
    (Dtype::Bf16, None, [2.94e-2, 1.24e-2, 1.05e-2]),
    (Dtype::F32, Some(Quantize::Int8), [4.01e-2, 1.60e-2, 1.90e-2]),
    (Dtype::F32, Some(Quantize::Int4), [0.313, 0.199, 0.164]),
];

#[test]
#[ignore = "2 GB and a minute"]
fn towers_in_fewer_bits() {
    let dinov2: Dinov2Config = serde_json::from_value(dinov2_giant_config()).unwrap();
    let siglip: SiglipConfig = serde_json::from_value(siglip_so400m_config()).unwrap();
    for (dtype, quantize, [of_dinov2, of_siglip, _]) in STORAGE {
        let case = case("full_dinov2_giant");
        let tower = synthetic_as(dtype, quantize, |w| Dinov2::new(&dinov2, w));
        let last = tower.forward(input("dinov2", [1, 3, 378, 378]));
        let kept = every(last.narrow(1, 1, 729), 91, case.shape("last_hidden_state")[0]);
        let what = format!("DINOv2-giant, {dtype} {quantize:?}");
        assert_close(&what, kept, &case.floats("last_hidden_state"), of_dinov2);
        drop(tower);

        let case = self::case("full_siglip_so400m");
        let tower = synthetic_as(dtype, quantize, |w| Siglip::new(&siglip, w));
        let last = tower.forward(input("siglip", [1, 3, 384, 384]));
        let kept = every(last, 91, case.shape("hidden_state")[0]);
        let what = format!("SigLIP so400m, {dtype} {quantize:?}");
        assert_close(&what, kept, &case.floats("hidden_state"), of_siglip);
    }
}

/// What a frame comes to does not depend on the frames beside it, to the bit. A layer of each tower, and the aggregator.
#[test]
#[ignore = "1 GB and half a minute"]
fn a_batch_is_its_frames() {
    let one_layer = |mut config: serde_json::Value| {
        config["num_hidden_layers"] = 1.into();
        config
    };
    let dinov2: Dinov2Config = serde_json::from_value(one_layer(dinov2_giant_config())).unwrap();
    let siglip: SiglipConfig = serde_json::from_value(one_layer(siglip_so400m_config())).unwrap();
    let connector = AggregatorConfig::published([1152, 1536]);
    let seen = [input("dinov2", [3, 3, 378, 378]), input("siglip", [3, 3, 384, 384])];
    for (dtype, quantize) in [(Dtype::F32, None), (Dtype::Bf16, None), (Dtype::F32, Some(Quantize::Int8))] {
        let (dinov2, siglip, aggregator) = synthetic_as(dtype, quantize, |w| {
            let aggregator = SpatialVisionAggregator::new(&connector, &w.at("model"));
            (Dinov2::new(&dinov2, &w.at("dinov2")), Siglip::new(&siglip, &w.at("siglip")), aggregator)
        });
        let see = |first: usize, count: usize| {
            let [one, other] = seen.clone().map(|pixels| pixels.narrow(0, first, count));
            let dinov2 = dinov2.features(one, 24);
            let (siglip, attention) = siglip.features_with_attention(other, 24);
            let fused = aggregator.forward(siglip.clone(), dinov2.clone(), SizePair::of_video(640, 360));
            let attention = attention.unsqueeze_dim(2);
            [dinov2, siglip, fused, attention].map(|x: Tensor<3>| x.into_data().as_bytes().to_vec())
        };
        let (together, alone) = (see(0, 3), [0, 1, 2].map(|frame| see(frame, 1)));
        for (place, together) in together.iter().enumerate() {
            let alone: Vec<u8> = alone.iter().flat_map(|bytes| bytes[place].clone()).collect();
            assert!(*together == alone, "{place}, {dtype} {quantize:?}");
        }
    }
}

#[test]
#[ignore = "5 GB and a minute"]
fn qwen2_in_fewer_bits() {
    let case = case("full_qwen2_2_layers");
    let config: DecoderConfig = serde_json::from_value(qwen2_7b_config()).unwrap();
    for (dtype, quantize, [.., tolerance]) in STORAGE {
        let decoder = synthetic_as(dtype, quantize, |w| Decoder::new(&config, LanguageModel::Qwen2, w));
        let last = decoder.forward(input("qwen2", [1, 24, config.hidden_size]), &mut decoder.new_cache(24));
        let logits = decoder.logits(last.narrow(1, 23, 1));
        let what = format!("Qwen2-7B, 2 layers, logits, {dtype} {quantize:?}");
        assert_close(&what, logits, &case.floats("last_logits"), tolerance);
    }
}
