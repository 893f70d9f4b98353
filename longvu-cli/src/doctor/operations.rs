//! One operation at a time.

use anyhow::Result;
use longvu::{
    Quantize,
    burn::tensor::{Int, Tensor, TensorData},
    checkpoint::nn::Linear,
    ops::{self, Activation, Interpolation, Weight},
};

use super::{
    check::{Check, Kind, Size},
    place::{Place, values},
};

const fn operation(name: &'static str, run: fn(&Place, Size) -> Result<Vec<f32>>) -> Check {
    Check { name, kind: Kind::Operation, run, quantized: false }
}

/// A row, whose activations become 16-bit integers, or many, whose become 8-bit ones.
const fn quantized(name: &'static str, kind: Kind, run: fn(&Place, Size) -> Result<Vec<f32>>) -> Check {
    Check { name, kind, run, quantized: true }
}

/// What the models are made of.
pub const CHECKS: &[Check] = &[
    operation("linear", linear),
    operation("linear_gelu", linear_gelu),
    operation("linear_gated", linear_gated),
    quantized("linear_int8", Kind::Integers, |place, size| linear_quantized(place, size, Quantize::Int8, 40)),
    quantized("linear_int4", Kind::Integers, |place, size| linear_quantized(place, size, Quantize::Int4, 40)),
    quantized("linear_int8_of_one_row", Kind::Operation, |place, size| {
        linear_quantized(place, size, Quantize::Int8, 1)
    }),
    quantized("linear_int4_of_one_row", Kind::Operation, |place, size| {
        linear_quantized(place, size, Quantize::Int4, 1)
    }),
    operation("layer_norm", layer_norm),
    operation("rms_norm", rms_norm),
    operation("add_residual", add_residual),
    operation("gelu", gelu),
    operation("silu_mul", silu_mul),
    operation("rotary", rotary),
    operation("attention", attention),
    operation("causal_attention", causal_attention),
    operation("attention_of_one_query", attention_of_one_query),
    operation("kv_cache", kv_cache),
    operation("resample_bilinear", |place, size| resample(place, size, Interpolation::Bilinear)),
    operation("resample_bicubic", |place, size| resample(place, size, Interpolation::Bicubic)),
    operation("embedding", embedding),
    operation("cosine_similarity", cosine_similarity),
    operation("cosine_with_first", cosine_with_first),
];

/// Rows, inputs and outputs of DINOv2-giant's layers.
fn layer_sizes(size: Size) -> [usize; 3] {
    size.pick([37, 48, 72], [730, 1536, 1536])
}

fn linear(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, inputs, outputs] = layer_sizes(size);
    let weight = place.matrix("linear", [outputs, inputs]);
    Ok(values(ops::linear(place.tensor("x", [rows, inputs]), weight, Some(place.vector("bias", outputs)))))
}

fn linear_gelu(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, inputs, outputs] = size.pick([37, 48, 72], [729, 1152, 4304]);
    let (x, weight) = (place.tensor("x", [rows, inputs]), place.matrix("linear_gelu", [outputs, inputs]));
    let bias = Some(place.vector("bias", outputs));
    Ok(values(ops::linear_activated(x, Weight::Dense(&weight), bias, Activation::GeluTanh)))
}

fn linear_gated(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, inputs, outputs] = size.pick([37, 48, 72], [730, 1536, 4096]);
    let weights = ["gate", "up"].map(|name| place.matrix(name, [outputs, inputs]));
    let weights = weights.each_ref().map(Weight::Dense);
    Ok(values(ops::linear_gated(place.tensor("x", [rows, inputs]), &weights, &[])))
}

fn linear_quantized(place: &Place, size: Size, quantize: Quantize, rows: usize) -> Result<Vec<f32>> {
    let [_, inputs, outputs] = layer_sizes(size);
    let linear = place.load_quantized(Some(quantize), |weights| Linear::new(weights, inputs, outputs, true))?;
    Ok(values(linear.forward(place.tensor("x", [rows, inputs]))))
}

fn layer_norm(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, channels, _] = layer_sizes(size);
    let (weight, bias) = (place.vector("weight", channels), place.vector("bias", channels));
    Ok(values(ops::layer_norm(place.tensor("x", [rows, channels]), weight, bias, 1e-6)))
}

fn rms_norm(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, channels] = size.pick([37, 48], [1024, 3584]);
    Ok(values(ops::rms_norm(place.tensor("x", [rows, channels]), place.vector("weight", channels), 1e-6)))
}

fn add_residual(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, channels, _] = layer_sizes(size);
    let [residual, delta] = ["residual", "delta"].map(|name| place.tensor(name, [rows, channels]));
    Ok(values(ops::add_residual(residual, delta, Some(place.vector("lambda1", channels)))))
}

fn gelu(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, channels, _] = layer_sizes(size);
    Ok(values(ops::gelu(place.tensor("x", [rows, channels]) * 3.0)))
}

fn silu_mul(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [rows, channels, _] = layer_sizes(size);
    let [gate, up] = ["gate", "up"].map(|name| place.tensor(name, [rows, channels]) * 3.0);
    Ok(values(ops::silu_mul(gate, up)))
}

/// Positions, heads, heads of keys, and elements of a head.
fn head_sizes(size: Size) -> [usize; 4] {
    size.pick([21, 4, 2, 16], [1024, 28, 4, 128])
}

fn rotary(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [positions, heads, _, head_dim] = head_sizes(size);
    let table = |f: fn(f32) -> f32| {
        let angle = |i: usize| f((i / (head_dim / 2)) as f32 * 0.9f32.powi((i % (head_dim / 2)) as i32));
        let table: Vec<f32> = (0..positions * head_dim / 2).map(angle).collect();
        Tensor::<2>::from_data(TensorData::new(table, [positions, head_dim / 2]), &place.device)
    };
    Ok(values(ops::rotary(place.tensor("x", [1, positions, heads, head_dim]), &table(f32::cos), &table(f32::sin))))
}

fn attention(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [heads, tokens, head_dim] = size.pick([4, 37, 16], [24, 730, 64]);
    let [query, key, value] = ["q", "k", "v"].map(|name| place.tensor(name, [1, heads, tokens, head_dim]));
    Ok(values(ops::attention(query * 3.0, key, value, None)))
}

fn causal_attention(place: &Place, size: Size) -> Result<Vec<f32>> {
    attend(place, size, size.pick(9, 600), size.pick(21, 1624))
}

/// A token after a prompt of the longest that fits the published models.
fn attention_of_one_query(place: &Place, size: Size) -> Result<Vec<f32>> {
    attend(place, size, 1, size.pick(150, 8192))
}

fn attend(place: &Place, size: Size, queries: usize, keys: usize) -> Result<Vec<f32>> {
    let [_, heads, kv_heads, head_dim] = head_sizes(size);
    let [key, value] = ["k", "v"].map(|name| place.tensor(name, [1, kv_heads, keys, head_dim]));
    Ok(values(ops::causal_attention(place.tensor("q", [1, heads, queries, head_dim]) * 3.0, key, value)))
}

/// Positions written into a buffer of keys, and all of them read.
fn kv_cache(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [positions, _, heads, head_dim] = head_sizes(size);
    let capacity = 2 * positions;
    let dtype = place.dtype.activations(&place.device);
    let mut keys = Tensor::<4>::zeros([1, heads, capacity, head_dim], (&place.device, dtype.into()));
    for (start, count) in [(0, positions), (positions, 1), (positions + 1, 3)] {
        let new = place.tensor("k", [1, heads, count, head_dim]);
        keys = keys.slice_assign([0..1, 0..heads, start..start + count, 0..head_dim], new);
    }
    Ok(values(keys.narrow(2, 0, positions + 4)))
}

fn resample(place: &Place, size: Size, interpolation: Interpolation) -> Result<Vec<f32>> {
    let ([from, to], channels) = (size.pick([9, 8], [27, 24]), size.pick(12, 1536));
    Ok(values(ops::resample_grid(place.tensor("x", [2, from * from, channels]), from, to, interpolation, None)))
}

fn embedding(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [vocabulary, channels] = size.pick([97, 48], [4096, 3584]);
    let ids: Vec<i64> = (0..300).map(|i| (i * 37 % vocabulary) as i64).collect();
    let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [300]), &place.device);
    Ok(values(place.matrix("embedding", [vocabulary, channels]).select(0, ids)))
}

/// Vectors that are more like the first the earlier they come, as those of a video's frames: of unlike ones all cosines are
/// next to nothing.
fn alike<const D: usize>(place: &Place, shape: [usize; D]) -> Tensor<D> {
    let x: Tensor<D> = place.tensor("x", shape);
    let weights: Vec<f32> = (0..shape[0]).map(|i| 0.1 * i as f32).collect();
    let mut rows = [1; D];
    rows[0] = shape[0];
    let weights = Tensor::<D>::from_data(TensorData::new(weights, rows), &place.device).cast(x.dtype());
    x.clone().narrow(0, 0, 1) + x * weights
}

fn cosine_similarity(place: &Place, size: Size) -> Result<Vec<f32>> {
    Ok(ops::cosine_similarity(alike(place, [16, size.pick(100, 576 * 1536)])))
}

fn cosine_with_first(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [tokens, channels] = size.pick([12, 48], [156, 3584]);
    Ok(ops::cosine_with_first(alike(place, [8, tokens, channels])))
}
