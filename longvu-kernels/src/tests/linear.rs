use super::gemv::reference;
use super::{assert_close, noise, wide};
use crate::{Isa, MAX_ROWS, WeightMatrix, add_bias, add_scaled, linear};
use half::{bf16, f16};
use proptest::prelude::*;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
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
