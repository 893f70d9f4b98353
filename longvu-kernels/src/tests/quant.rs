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
        // The positive side ends at 7 of 8 steps: there the error is a whole step.
        (QuantBits::Int4, false) => 2.0 / 8.0,
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
