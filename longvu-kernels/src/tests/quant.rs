use super::gemv::reference;
use super::{assert_close, assert_same_on_any_threads, noise, same_bits};
use crate::simd::Level;
use crate::{Isa, MAX_ROWS, QuantBits, QuantFormat, QuantMatrix, ScaleType, WeightMatrix, linear};
use proptest::prelude::*;

fn formats() -> Vec<QuantFormat> {
    let mut out = Vec::new();
    for bits in [QuantBits::Int8, QuantBits::Int4] {
        for group in [32, 64, 128] {
            for affine in [false, true] {
                for scales in [ScaleType::F32, ScaleType::F16] {
                    out.push(QuantFormat { bits, group, affine, scales });
                }
            }
        }
    }
    out
}

fn values(matrix: &QuantMatrix) -> Vec<f32> {
    let mut out = vec![0.0; matrix.outputs() * matrix.inputs()];
    matrix.dequantize(0, &mut out);
    out
}

/// Half a step of the greatest weight, in units of it, and what scales in half precision add.
fn rounding(format: QuantFormat) -> f32 {
    let step = match (format.bits, format.affine) {
        (QuantBits::Int8, false) => 1.0 / 127.0,
        (QuantBits::Int8, true) => 2.0 / 255.0,
        // The positive side ends at 7 steps. A weight of 8.5 there, the others being small, loses 1.5 of them; what fits the
        // others better adds to that.
        (QuantBits::Int4, false) => 2.0 * 1.5 / 7.5,
        (QuantBits::Int4, true) => 2.0 / 15.0,
    };
    step * 0.51 + if format.scales == ScaleType::F16 { 3e-3 } else { 1e-6 }
}

#[test]
fn groups_without_range_come_back() {
    for format in formats() {
        for value in [0.0, 0.5, -0.25] {
            let matrix = QuantMatrix::quantize(format, &[value; 2 * 70], 70);
            assert_close(&values(&matrix), &[f64::from(value); 140], 2e-4, 0.0);
        }
    }
}

/// The square error of what came back.
fn error(kept: &[f32], weights: &[f32]) -> f64 {
    kept.iter().zip(weights).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Groups whose greatest weight alone decides, of which it is eight steps on its side.
fn by_the_greatest(weights: &[f32]) -> Vec<f32> {
    let group = |group: &[f32]| {
        let greatest = group.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        let scale = half::f16::from_f32(greatest / -8.0).to_f32();
        let back = move |x: &f32| (x / scale).round().clamp(-8.0, 7.0) * scale;
        group.iter().map(back).collect::<Vec<_>>()
    };
    weights.chunks(32).flat_map(group).collect()
}

#[test]
fn a_scale_of_four_bits_is_chosen_by_all_weights_of_a_group() {
    let format = QuantFormat { bits: QuantBits::Int4, group: 32, affine: false, scales: ScaleType::F16 };
    let uniform = noise(1, 4096, 1.0);
    // Sums of four are near enough to the bell shape of trained weights.
    let bell: Vec<f32> = noise(2, 4 * 4096, 1.0).chunks(4).map(|x| x.iter().sum()).collect();
    for weights in [uniform, bell] {
        let kept = values(&QuantMatrix::quantize(format, &weights, 32));
        let plain = by_the_greatest(&weights);
        for ((kept, plain), weights) in kept.chunks(32).zip(plain.chunks(32)).zip(weights.chunks(32)) {
            assert!(error(kept, weights) <= error(plain, weights) * 1.001);
        }
        let (found, plain) = (error(&kept, &weights), error(&plain, &weights));
        assert!(found < 0.92 * plain, "{found} of {plain}");
    }
}

/// As of weights that somebody has rounded to such steps before, in f16 too.
#[test]
fn multiples_of_a_step_come_back_in_four_bits() {
    let format = QuantFormat { bits: QuantBits::Int4, group: 32, affine: false, scales: ScaleType::F16 };
    let steps = noise(3, 100, 0.1);
    for (i, step) in steps.into_iter().enumerate() {
        let step = half::f16::from_f32(step).to_f32();
        let most = if i % 2 == 0 { -8.0 } else { 7.0 };
        let mut weights: Vec<f32> = noise(i as u64, 32, 7.4).into_iter().map(|x| x.round() * step).collect();
        weights[i % 32] = most * step;
        assert_eq!(values(&QuantMatrix::quantize(format, &weights, 32)), weights, "{most} steps of {step}");
        let stored: Vec<f32> = weights.iter().map(|&x| half::f16::from_f32(x).to_f32()).collect();
        assert_eq!(values(&QuantMatrix::quantize(format, &stored, 32)), weights, "{most} steps of {step}");
    }
}

#[test]
fn weights_that_are_not_finite_reach_their_output() {
    for format in formats() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut weights = noise(1, 3 * 70, 1.0);
            weights[70 + 68] = bad;
            let matrix = QuantMatrix::quantize(format, &weights, 70);
            let mut out = [0.0; 3];
            matrix.gemv(&[1.0; 70], None, &mut out);
            assert_eq!(out.map(f32::is_nan), [false, true, false], "{bad} {format:?}");
        }
    }
}

#[test]
fn numbers_that_are_not_finite_reach_their_outputs() {
    let matrix = QuantMatrix::quantize(formats()[0], &noise(1, 3 * 64, 1.0), 64);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = [1.0; 64];
        x[40] = bad;
        let mut out = [0.0; 3];
        matrix.gemv(&x, None, &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
    }
    let mut out = [1.0; 3];
    matrix.gemv(&[1e-42; 64], None, &mut out);
    assert!(out.iter().all(|x| x.abs() < 1e-40));
}

#[test]
fn wide_rows_are_taken_in_parts() {
    for (inputs, outputs) in [(8192, 5), (8200, 9), (18_944, 7)] {
        let weights = noise(3, outputs * inputs, 1.0);
        for format in formats() {
            let matrix = QuantMatrix::quantize(format, &weights, inputs);
            let kept = values(&matrix);
            for rows in [1, 3] {
                let x = noise(4, rows * inputs, 1.0);
                let mut out = vec![0.0; rows * outputs];
                for level in Level::all() {
                    matrix.gemv_at(level, &x, None, &mut out);
                    assert_close(&out, &reference(&kept, inputs, &x, None), 6e-5 * (inputs as f64).sqrt(), 0.0);
                }
            }
        }
    }
}

/// As for weights in floating point.
#[test]
fn rows_beside_it_change_no_bit_of_a_row() {
    for (inputs, outputs) in [(5, 3), (517, 37), (8200, 9), (18_944, 6)] {
        let (weights, x) = (noise(1, outputs * inputs, 1.0), noise(2, MAX_ROWS * inputs, 1.0));
        for format in formats() {
            let matrix = QuantMatrix::quantize(format, &weights, inputs);
            for level in Level::all() {
                let multiply = |x: &[f32]| {
                    let mut out = vec![0.0; x.len() / inputs * outputs];
                    matrix.gemv_at(level, x, None, &mut out);
                    out
                };
                let alone: Vec<_> = x.chunks(inputs).map(multiply).collect();
                for rows in 2..=MAX_ROWS {
                    let together = multiply(&x[..rows * inputs]);
                    let same = together.chunks(outputs).zip(&alone).all(|(together, alone)| same_bits(together, alone));
                    assert!(same, "{rows} rows of {inputs}, {format:?}");
                }
            }
        }
    }
}

#[test]
fn the_memory_is_what_the_format_says() {
    let format = QuantFormat { bits: QuantBits::Int4, group: 32, affine: false, scales: ScaleType::F16 };
    let matrix = QuantMatrix::quantize(format, &vec![0.0; 4 * 3584], 3584);
    assert_eq!(matrix.bytes(), 4 * (3584 / 2 + 3584 / 32 * 2));
}

#[test]
fn threads_change_nothing() {
    let (weights, x) = (noise(1, 999 * 517, 1.0), noise(2, 13 * 517, 1.0));
    for rows in [3, 13] {
        assert_same_on_any_threads(|| {
            let matrix = QuantMatrix::quantize(formats()[11], &weights, 517);
            let mut out = vec![0.0; rows * 999];
            linear(WeightMatrix::Quant(&matrix), 517, &x[..rows * 517], None, &mut out);
            out
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn quantised_products_equal_the_reference(
        seed: u64,
        rows in 1usize..=MAX_ROWS + 4,
        outputs in 1usize..20,
        inputs in 1usize..400,
    ) {
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let bias = noise(seed ^ 2, outputs, 1.0);
        for format in formats() {
            let matrix = QuantMatrix::quantize(format, &weights, inputs);
            let kept = values(&matrix);
            assert_close(&kept, &super::wide(&weights), f64::from(rounding(format)), 0.0);
            for level in Level::all() {
                let mut row = vec![0.0; inputs];
                matrix.dequantize_at(level, outputs - 1, &mut row);
                assert_close(&row, &super::wide(&kept[(outputs - 1) * inputs..]), 1e-6, 0.0);
            }
            for bias in [None, Some(&bias[..])] {
                let expected = reference(&kept, inputs, &x, bias);
                // Activations below 1 are rounded by 1.6e-5 at most, and add up as a walk of random steps does; many rows
                // by 4e-3, where the machine multiplies 8-bit integers.
                let coarse = rows > MAX_ROWS && Isa::used().int8_products().is_some();
                let tolerance = if coarse { 1.5e-2 } else { 6e-5 } * (inputs as f64).sqrt();
                let mut out = vec![0.0; rows * outputs];
                linear(WeightMatrix::Quant(&matrix), inputs, &x, bias, &mut out);
                assert_close(&out, &expected, tolerance, 0.0);
                for level in Level::all().into_iter().filter(|_| rows <= MAX_ROWS) {
                    matrix.gemv_at(level, &x, bias, &mut out);
                    assert_close(&out, &expected, tolerance, 0.0);
                }
            }
        }
    }
}
