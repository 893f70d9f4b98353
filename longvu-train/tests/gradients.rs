//! Gradients of whole blocks against central differences, through the CPU's own backward passes and through burn's.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_checkpoint::{
    TensorLookup, TensorRole, TensorSpec, Weights, build,
    config::{DecoderConfig, Dinov2Config, LanguageModel, SiglipConfig},
    declare,
};
use longvu_core::ops;
use longvu_llm::Decoder;
use longvu_train::initial_values;
use longvu_vision::{AggregatorConfig, Dinov2, Siglip, SizePair, SpatialVisionAggregator};

type Values = BTreeMap<String, Vec<f32>>;

/// Deterministic numbers between -1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(numbers(shape.iter().product(), seed), shape), (device, DType::F32))
}

/// Values that are far from special: norms' scales and biases too.
fn values(specs: &[TensorSpec]) -> Values {
    let parameters = specs.iter().filter(|spec| spec.role == TensorRole::Parameter);
    let value = |(i, spec): (usize, &TensorSpec)| {
        let noise = numbers(spec.num_elements(), i as u64 + 1);
        let initial = initial_values(&spec.name, &spec.shape, 3);
        (spec.name.clone(), initial.iter().zip(noise).map(|(x, noise)| x + 0.2 * noise).collect())
    };
    parameters.enumerate().map(value).collect()
}

fn lookup(tensors: BTreeMap<String, Tensor<1>>) -> Arc<TensorLookup> {
    Arc::new(move |name| tensors.get(name).cloned())
}

fn flat(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (device, DType::F32))
}

/// The product of a block's output with fixed numbers, summed in f64: differences of it are as exact as f32 allows.
fn loss(output: &Tensor<3>) -> f64 {
    let values: Vec<f32> = output.to_data().iter::<f32>().collect();
    let weights = numbers(values.len(), 99);
    values.iter().zip(weights).map(|(x, weight)| f64::from(*x) * f64::from(weight)).sum()
}

/// Compares the gradient of every tensor with differences along directions.
fn check<M>(block: impl Fn(&Weights) -> M, forward: impl Fn(&M, &Device) -> Tensor<3>) {
    let values = values(&declare(&block));
    let (plain, graph) = (Device::flex(), Device::flex().autodiff());
    let leaves: BTreeMap<String, Tensor<1>> =
        values.iter().map(|(name, x)| (name.clone(), flat(x, &plain).autodiff().require_grad())).collect();
    let output = forward(&build(lookup(leaves.clone()), &block).unwrap(), &graph);
    let weights = Tensor::<3>::from_data(
        TensorData::new(numbers(output.dims().iter().product(), 99), output.dims()),
        (&graph, DType::F32),
    );
    let mut grads = (output * weights).sum().backward();

    let at = |name: &str, direction: &[f32], step: f32| {
        let moved = |(other, x): (&String, &Vec<f32>)| {
            let x: Vec<f32> = match other == name {
                true => x.iter().zip(direction).map(|(x, d)| x + step * d).collect(),
                false => x.clone(),
            };
            (other.clone(), flat(&x, &plain))
        };
        let model = build(lookup(values.iter().map(moved).collect()), &block).unwrap();
        loss(&forward(&model, &plain))
    };
    for (name, leaf) in leaves {
        let grad: Vec<f32> = leaf.grad_remove(&mut grads).expect(&name).into_data().iter::<f32>().collect();
        let norm = grad.iter().map(|g| g * g).sum::<f32>().sqrt();
        // Along the gradient itself, where nothing cancels, and along two that are not related to it.
        let along: Vec<f32> = grad.iter().map(|g| g / norm.max(1e-12)).collect();
        let random = |seed| {
            let direction = numbers(grad.len(), seed);
            let norm = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
            direction.iter().map(|d| d / norm).collect::<Vec<f32>>()
        };
        for direction in [along, random(5), random(6)] {
            let step = 4e-3;
            let found = (at(&name, &direction, step) - at(&name, &direction, -step)) / f64::from(2.0 * step);
            let expected: f64 = grad.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let tolerance = 2e-3 * f64::from(norm) + 2e-3;
            assert!((found - expected).abs() < tolerance, "{name}: {found} by differences, {expected} by gradients");
        }
    }
}

fn aggregator() {
    let mut config = AggregatorConfig::published([6, 10]);
    (config.channels, config.depth) = (32, 2);
    (config.feature_side, config.query_side) = (4, 2);
    for (width, height) in [(64, 64), (64, 36)] {
        check(
            |weights| SpatialVisionAggregator::new(&config, &weights.at("model")),
            |model, device| {
                let (siglip, dinov2) = (tensor([2, 16, 6], 1, device), tensor([2, 16, 10], 2, device));
                model.forward(siglip, dinov2, SizePair::of_video(width, height))
            },
        );
    }
}

fn decoder_layer(family: LanguageModel) {
    let json = r#"{ "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 11, "rms_norm_eps": 1e-6, "tie_word_embeddings": true }"#;
    let config: DecoderConfig = serde_json::from_str(json).unwrap();
    check(
        |weights| Decoder::new(&config, family, weights),
        |model, _| {
            let ids = [1, 5, 2, 9, 10, 0, 3, 5, 7, 7, 1, 4];
            let embeds = model.embed(&ids).reshape([2, 6, 32]);
            model.logits(model.forward_sequences(embeds))
        },
    );
    check(
        |weights| Decoder::new(&config, family, weights),
        |model, _| {
            let embeds = model.embed(&[1, 5, 2, 9, 10, 0, 3, 5, 7]).reshape([1, 9, 32]);
            model.logits(model.forward_branches(embeds, 4, &[2, 3]))
        },
    );
}

fn siglip() {
    let json = r#"{ "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "image_size": 12, "patch_size": 4, "hidden_act": "gelu_pytorch_tanh" }"#;
    let config: SiglipConfig = serde_json::from_str(json).unwrap();
    check(|weights| Siglip::new(&config, weights), |model, device| model.forward(tensor([2, 3, 12, 12], 1, device)));
}

fn dinov2(swiglu: bool) {
    let json = format!(
        r#"{{ "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "mlp_ratio": 2,
        "use_swiglu_ffn": {swiglu}, "image_size": 12, "patch_size": 4 }}"#
    );
    let config: Dinov2Config = serde_json::from_str(&json).unwrap();
    check(
        |weights| Dinov2::new(&config, weights),
        |model, device| model.features(tensor([2, 3, 12, 12], 1, device), 2),
    );
}

#[test]
fn gradients_equal_differences() {
    for kernels in [true, false] {
        ops::set_cpu_kernels(kernels);
        siglip();
        dinov2(true);
        dinov2(false);
        aggregator();
        decoder_layer(LanguageModel::Qwen2);
        decoder_layer(LanguageModel::Llama);
    }
}
