//! One layer of each model at its published width, the aggregator and the projector, on the CPU.
//!
//! `cargo bench -p longvu-benches --bench models`
#![allow(missing_docs, clippy::expect_used)]

use std::{hint::black_box, sync::Arc, time::Duration};

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use longvu::{
    Dtype,
    checkpoint::{
        LoadOptions, Synthetic, Weights,
        config::{DecoderConfig, Dinov2Config, LanguageModel, SiglipConfig},
        load,
    },
    default_device,
    llm::Decoder,
    vision::{AggregatorConfig, Dinov2, MmProjector, Siglip, SizePair, SpatialVisionAggregator},
};
use serde_json::json;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

fn synthetic<M>(dtype: Dtype, build: impl Fn(&Weights) -> M) -> M {
    let options = LoadOptions::new("synthetic", &default_device(), dtype);
    load(Arc::new(Synthetic), &options, build).expect("the rule has every tensor").0
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

/// Patch embedding, one layer and the last norm of each tower, on one frame.
fn towers(c: &mut Criterion) {
    let device = default_device();
    let mut group = group(c, "tower");
    let config: Dinov2Config = serde_json::from_value(json!({
        "hidden_size": 1536, "num_hidden_layers": 1, "num_attention_heads": 24, "mlp_ratio": 4,
        "use_swiglu_ffn": true, "image_size": 518, "patch_size": 14,
    }))
    .expect("a configuration");
    let (tower, pixels) = (synthetic(Dtype::F32, |w| Dinov2::new(&config, w)), random([1, 3, 378, 378], &device));
    group.bench_function("dinov2-giant, 1 of 40 layers", |b| b.iter(|| tower.forward(black_box(pixels.clone()))));

    let config: SiglipConfig = serde_json::from_value(json!({
        "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 1, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14,
    }))
    .expect("a configuration");
    let (tower, pixels) = (synthetic(Dtype::F32, |w| Siglip::new(&config, w)), random([1, 3, 384, 384], &device));
    group.bench_function("siglip-so400m, 1 of 27 layers", |b| b.iter(|| tower.forward(black_box(pixels.clone()))));
    group.finish();
}

/// From both towers' features to the language model's tokens, a frame at a time.
fn connector(c: &mut Criterion) {
    let device = default_device();
    let config = AggregatorConfig::published([1152, 1536]);
    let (aggregator, projector) = synthetic(Dtype::F32, |w| {
        let model = w.at("model");
        (SpatialVisionAggregator::new(&config, &model), MmProjector::new(1024, 3584, &model))
    });
    let (siglip, dinov2) = (random([1, 576, 1152], &device), random([1, 576, 1536], &device));
    let mut group = group(c, "connector");
    group.bench_function("aggregator, 1 frame", |b| {
        b.iter(|| aggregator.forward(black_box(siglip.clone()), dinov2.clone(), SizePair::of_video(1920, 1080)));
    });
    let features = random([1, 144, 1024], &device);
    group.bench_function("projector, 1 frame", |b| b.iter(|| projector.forward(black_box(features.clone()))));
    group.finish();
}

/// One layer of Qwen2-7B.
fn decoder(c: &mut Criterion) {
    let device = default_device();
    let config: DecoderConfig = serde_json::from_value(json!({
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 1, "num_attention_heads": 28,
        "num_key_value_heads": 4, "vocab_size": 64, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    }))
    .expect("a configuration");
    let mut group = group(c, "qwen2-7b, 1 of 28 layers");
    for dtype in Dtype::ALL {
        let decoder = synthetic(dtype, |w| Decoder::new(&config, LanguageModel::Qwen2, w));
        let mut cache = decoder.new_cache(1025);
        let prompt = random([1, 1024, 3584], &device);
        decoder.prefill(prompt.clone(), &mut cache, 1024);
        let token = random([1, 1, 3584], &device);
        group.bench_function(format!("decode after 1024, {dtype}"), |b| {
            b.iter(|| {
                cache.truncate(1024);
                decoder.forward(black_box(token.clone()), &mut cache)
            });
        });
        group.bench_function(format!("prefill 1024, {dtype}"), |b| {
            b.iter(|| {
                cache.truncate(0);
                decoder.prefill(black_box(prompt.clone()), &mut cache, 1024)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, towers, connector, decoder);
criterion_main!(benches);
