use super::gemv::reference;
use super::{assert_close, noise, wide};
use crate::{
    Activation, Isa, MAX_ROWS, QuantBits, QuantFormat, QuantMatrix, ScaleType, WeightMatrix, add_bias, add_scaled,
    gelu, linear, linear_activated, linear_gated, silu_mul,
};
use half::{bf16, f16};
use proptest::prelude::*;

#[test]
#[should_panic(expected = "inputs of the weights")]
fn quantised_weights_of_other_inputs_are_refused() {
    let format = QuantFormat { bits: QuantBits::Int8, group: 64, affine: false, scales: ScaleType::F16 };
    let matrix = QuantMatrix::quantize(format, &[0.5; 64], 64);
    let _ = linear_activated(WeightMatrix::Quant(&matrix), 1, &[1.0; 40], None, Activation::None);
}

#[test]
fn more_outputs_than_a_panel() {
    let (inputs, outputs, rows) = (33, 2500, MAX_ROWS + 1);
    let (weights, x) = (noise(1, outputs * inputs, 1.0), noise(2, rows * inputs, 1.0));
    let bias = noise(3, outputs, 1.0);
    let halves: Vec<bf16> = weights.iter().map(|&w| bf16::from_f32(w)).collect();
    let kept: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
    let mut out = vec![0.0; rows * outputs];
    linear(WeightMatrix::Bf16(&halves), inputs, &x, Some(&bias), &mut out);
    assert_close(&out, &reference(&kept, inputs, &as_multiplied(&x, rows), Some(&bias)), 1e-4, 0.0);
}

/// Activations as they meet weights in bfloat16: more rows than a few are rounded where the machine multiplies so.
fn as_multiplied(x: &[f32], rows: usize) -> Vec<f32> {
    let round = |x: &f32| {
        if rows > MAX_ROWS && Isa::used().bf16_products().is_some() { bf16::from_f32(*x).to_f32() } else { *x }
    };
    x.iter().map(round).collect()
}

/// A matrix in every way to hold it.
struct Stored {
    f32: Vec<f32>,
    f16: Vec<f16>,
    bf16: Vec<bf16>,
    quantised: [QuantMatrix; 2],
}

impl Stored {
    fn new(weights: Vec<f32>, inputs: usize) -> Self {
        let quantised = [(QuantBits::Int8, 64), (QuantBits::Int4, 32)].map(|(bits, group)| {
            let format = QuantFormat { bits, group, affine: false, scales: ScaleType::F16 };
            QuantMatrix::quantize(format, &weights, inputs)
        });
        let (f16, bf16) = (weights.iter().map(|&w| f16::from_f32(w)), weights.iter().map(|&w| bf16::from_f32(w)));
        Self { f16: f16.collect(), bf16: bf16.collect(), quantised, f32: weights }
    }

    fn ways(&self) -> [WeightMatrix<'_>; 5] {
        let [int8, int4] = self.quantised.each_ref().map(WeightMatrix::Quant);
        [WeightMatrix::F32(&self.f32), WeightMatrix::F16(&self.f16), WeightMatrix::Bf16(&self.bf16), int8, int4]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_follows_a_product_is_what_is_done_to_its_outputs(
        seed: u64,
        rows in 1usize..40,
        inner in 1usize..150,
        inputs in 1usize..300,
        biased: bool,
    ) {
        let [gate, up] = [0, 1].map(|i| noise(seed ^ i, inner * inputs, 0.1));
        let both = Stored::new([&gate[..], &up[..]].concat(), inputs);
        let (gate, up) = (Stored::new(gate, inputs), Stored::new(up, inputs));
        let (x, biases) = (noise(seed ^ 2, rows * inputs, 1.0), [3, 4].map(|i| noise(seed ^ i, inner, 1.0)));
        let bias = |i: usize| biased.then_some(&biases[i][..]);
        let pair = biased.then_some([&biases[0][..], &biases[1][..]]);
        for ((gate, up), both) in gate.ways().into_iter().zip(up.ways()).zip(both.ways()) {
            let outputs = [(gate, bias(0)), (up, bias(1))].map(|(weights, bias)| {
                let mut out = vec![f32::NAN; rows * inner];
                linear(weights, inputs, &x, bias, &mut out);
                out
            });
            let mut expected = vec![0.0; rows * inner];
            silu_mul(&outputs[0], &outputs[1], &mut expected);
            for weights in [&[gate, up][..], &[both]] {
                match linear_gated(weights, inputs, &x, pair) {
                    Some(out) => assert_close(&out, &wide(&expected), 1e-6, 1e-6),
                    None => assert!(rows <= MAX_ROWS || Isa::used() < Isa::Avx512Bf16, "{rows} rows"),
                }
            }
            let mut expected = outputs[0].clone();
            gelu(&mut expected, None);
            let activated = linear_activated(gate, inputs, &x, bias(0), Activation::Gelu);
            assert_close(&activated, &wide(&expected), 1e-6, 1e-6);
        }
    }

    #[test]
    fn products_of_any_storage_equal_the_reference(
        seed: u64,
        rows in 1usize..=2 * MAX_ROWS,
        outputs in 1usize..40,
        inputs in 1usize..100,
        biased: bool,
    ) {
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let bias = noise(seed ^ 2, outputs, 1.0);
        let bias = biased.then_some(&bias[..]);
        let mut out = vec![0.0; rows * outputs];
        linear(WeightMatrix::F32(&weights), inputs, &x, bias, &mut out);
        assert_close(&out, &reference(&weights, inputs, &x, bias), 1e-4, 0.0);

        let halves: Vec<f16> = weights.iter().map(|&w| f16::from_f32(w)).collect();
        let kept: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
        linear(WeightMatrix::F16(&halves), inputs, &x, bias, &mut out);
        assert_close(&out, &reference(&kept, inputs, &x, bias), 1e-4, 0.0);

        let halves: Vec<bf16> = weights.iter().map(|&w| bf16::from_f32(w)).collect();
        let kept: Vec<f32> = halves.iter().map(|w| w.to_f32()).collect();
        linear(WeightMatrix::Bf16(&halves), inputs, &x, bias, &mut out);
        assert_close(&out, &reference(&kept, inputs, &as_multiplied(&x, rows), bias), 1e-4, 0.0);
    }

    #[test]
    fn sums_equal_the_reference(seed: u64, rows in 1usize..9, width in 1usize..90, scaled: bool) {
        let (x, delta) = (noise(seed, rows * width, 1.0), noise(seed ^ 1, rows * width, 1.0));
        let row = noise(seed ^ 2, width, 1.0);
        let mut biased = x.clone();
        add_bias(&mut biased, &row);
        let expected: Vec<f64> = wide(&x).iter().enumerate().map(|(i, x)| x + f64::from(row[i % width])).collect();
        assert_close(&biased, &expected, 1e-6, 0.0);

        let mut sum = x.clone();
        add_scaled(&mut sum, &delta, scaled.then_some(&row[..]));
        let scale = |i: usize| if scaled { f64::from(row[i % width]) } else { 1.0 };
        let expected: Vec<f64> =
            wide(&x).iter().zip(wide(&delta)).enumerate().map(|(i, (x, d))| x + d * scale(i)).collect();
        assert_close(&sum, &expected, 1e-6, 0.0);
    }
}
