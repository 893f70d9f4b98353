//! Every operation with the CPU's kernels against the same operation in burn's generic ones.
#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_core::{Quantize, QuantizedMatrix, ops};

/// The switch is one for the process, so one comparison runs at a time.
static SWITCH: Mutex<()> = Mutex::new(());

/// Numbers from -2 to 2 of no pattern.
fn noise<const D: usize>(seed: usize, shape: [usize; D]) -> Tensor<D> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) as f32 * 0.618_034).sin() * 2.0;
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32))
}

fn norm(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Runs `op` both ways and compares to a relative error of `tolerance`.
fn same<const D: usize>(name: &str, tolerance: f64, op: impl Fn() -> Tensor<D>) {
    let _guard = SWITCH.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |kernels: bool| {
        ops::set_cpu_kernels(kernels);
        assert_eq!(ops::cpu_kernels(), kernels);
        let out = op();
        (out.dims(), out.into_data().try_to_vec::<f32>().unwrap())
    };
    let ((dims, generic), (found_dims, found)) = (run(false), run(true));
    assert_eq!(dims, found_dims, "{name}");
    let difference: Vec<f32> = generic.iter().zip(&found).map(|(a, b)| a - b).collect();
    let error = norm(&difference) / norm(&generic).max(1e-30);
    assert!(error < tolerance, "{name} {dims:?}: {error:e}");
}

/// A view whose elements do not lie in order.
fn strided(seed: usize, [a, b, c]: [usize; 3]) -> Tensor<3> {
    noise(seed, [b, a, c + 3]).swap_dims(0, 1).narrow(2, 2, c)
}

#[test]
fn activations() {
    for shape in [[1, 1, 1], [2, 3, 37], [3, 70, 301]] {
        same("gelu", 1e-6, || ops::gelu(strided(1, shape)));
        same("gelu_tanh", 1e-6, || ops::gelu_tanh(noise(2, shape)));
        same("silu_mul", 1e-6, || ops::silu_mul(noise(3, shape), strided(4, shape)));
        same("swiglu", 1e-6, || ops::swiglu(noise(5, [shape[0], shape[1], 2 * shape[2]])));
    }
}

#[test]
fn an_operation_leaves_what_others_hold() {
    let x = noise(1, [2, 33]);
    let before = x.clone().into_data();
    ops::gelu(x.clone());
    ops::silu_mul(x.clone(), x.clone());
    ops::add_residual(x.clone(), x.clone(), None);
    assert_eq!(x.into_data(), before);
}

#[test]
fn norms_and_residuals() {
    for shape in [[1, 1, 8], [2, 5, 67], [1, 200, 300]] {
        let channels = shape[2];
        let (weight, bias) = (noise(1, [channels]), noise(2, [channels]));
        same("layer_norm", 1e-6, || ops::layer_norm(strided(3, shape), weight.clone(), bias.clone(), 1e-6));
        same("rms_norm", 1e-6, || ops::rms_norm(strided(4, shape), weight.clone(), 1e-5));
        same("add_residual", 1e-6, || ops::add_residual(noise(5, shape), strided(6, shape), None));
        same("add_residual, scaled", 1e-6, || {
            ops::add_residual(noise(5, shape), strided(6, shape), Some(weight.clone()))
        });
    }
}

#[test]
fn linear_layers_of_every_storage() {
    for (rows, inputs, outputs) in [(1, 64, 5), (3, 100, 33), (40, 70, 1100)] {
        let (weight, bias) = (noise(1, [outputs, inputs]), noise(2, [outputs]));
        // More than a few rows are rounded to what the machine multiplies.
        let few = rows <= longvu_kernels::MAX_ROWS;
        let bf16: f64 = if few || ops::Isa::used().bf16_products().is_none() { 2e-6 } else { 4e-3 };
        let int8: f64 = if few || ops::Isa::used().int8_products().is_none() { 1e-4 } else { 1e-2 };
        for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F16, 2e-6), (DType::BF16, bf16)] {
            let weight = weight.clone().cast(dtype);
            same("linear", tolerance, || {
                ops::linear(strided(3, [1, rows, inputs]), weight.clone(), Some(bias.clone()))
            });
            same("linear without bias", tolerance, || ops::linear(noise(4, [rows, inputs]), weight.clone(), None));
        }
        let values = weight.into_data().try_to_vec::<f32>().unwrap();
        for quantize in Quantize::ALL {
            let weight = QuantizedMatrix::new(quantize, &values, inputs);
            // Few rows are rounded to 16 bits on the way into the product.
            same("linear_quantized", int8.max(if few { 0.0 } else { bf16 }), || {
                ops::linear_quantized(noise(5, [1, rows, inputs]), &weight, Some(bias.clone()))
            });
        }
    }
}

/// Rows come to the same to the bit whatever rows are beside them: DINOv2-giant's patches of a frame, and of several.
#[test]
fn rows_of_a_product_do_not_depend_on_others() {
    let _guard = SWITCH.lock().unwrap_or_else(PoisonError::into_inner);
    let (frames, rows, inputs, outputs) = (3, 730, 4096, 72);
    let (x, weight) = (noise(1, [frames, rows, inputs]), noise(2, [outputs, inputs]));
    let quantized =
        QuantizedMatrix::new(Quantize::Int8, &weight.clone().into_data().try_to_vec::<f32>().unwrap(), inputs);
    let product = |dtype: DType, x: Tensor<3>| ops::linear(x, weight.clone().cast(dtype), None);
    let products: [&dyn Fn(Tensor<3>) -> Tensor<3>; 3] =
        [&|x| product(DType::F32, x), &|x| product(DType::BF16, x), &|x| ops::linear_quantized(x, &quantized, None)];
    for (place, product) in products.into_iter().enumerate() {
        let alone = (0..frames).map(|frame| product(x.clone().narrow(0, frame, 1))).collect();
        assert!(product(x.clone()).into_data() == Tensor::cat(alone, 0).into_data(), "{place}");
    }
}

#[test]
fn rotary_embeddings() {
    for [batch, positions, heads, head_dim] in [[1, 1, 1, 2], [2, 5, 3, 20], [1, 90, 4, 128]] {
        let half = [positions, head_dim / 2];
        let (cos, sin) = (noise(1, half), noise(2, half));
        same("rotary", 1e-6, || ops::rotary(noise(3, [batch, positions, heads, head_dim]), &cos, &sin));
    }
}

#[test]
fn attention_with_and_without_order() {
    for (batch, heads, kv_heads, queries, keys, head_dim) in
        [(2, 3, 3, 5, 5, 16), (1, 4, 2, 1, 40, 24), (1, 4, 1, 70, 150, 64), (1, 2, 2, 600, 600, 8)]
    {
        // Positions before heads, as projections leave them; keys from a cache with room for more.
        let query = noise(1, [batch, queries, heads, head_dim]).swap_dims(1, 2);
        let cached = |seed: usize| noise(seed, [batch, kv_heads, keys + 7, head_dim]).narrow(2, 0, keys);
        let (key, value) = (cached(2), cached(3));
        same("causal_attention", 2e-6, || ops::causal_attention(query.clone(), key.clone(), value.clone()));
        if heads == kv_heads {
            same("attention", 2e-6, || ops::attention(query.clone(), key.clone(), value.clone(), None));
        }
    }
}
