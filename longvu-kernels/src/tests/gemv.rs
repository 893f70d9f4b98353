use super::{assert_close, assert_same_on_any_threads, noise, same_bits};
use crate::gemv::{Brain, Half, Single, gemv_at};
use crate::simd::Level;
use crate::{MAX_ROWS, gemv_bf16, gemv_f16, gemv_f32};
use half::{bf16, f16};
use proptest::prelude::*;

pub(super) fn reference(weights: &[f32], inputs: usize, x: &[f32], bias: Option<&[f32]>) -> Vec<f64> {
    let mut out = Vec::new();
    for x in x.chunks(inputs) {
        for (o, row) in weights.chunks(inputs).enumerate() {
            let sum: f64 = row.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
            out.push(sum + bias.map_or(0.0, |bias| f64::from(bias[o])));
        }
    }
    out
}

#[test]
fn every_half_is_read_as_it_should_be() {
    let bits: Vec<u16> = (0..=u16::MAX).collect();
    for level in Level::all() {
        let mut out = vec![0.0; bits.len()];
        gemv_at::<Half>(level, &bits, 1, &[1.0], None, &mut out);
        for (&bits, &x) in bits.iter().zip(&out) {
            let expected = f16::from_bits(bits).to_f32();
            assert!(x == expected || (x.is_nan() && expected.is_nan()), "{bits:x}: {x} for {expected}");
        }
        gemv_at::<Brain>(level, &bits, 1, &[1.0], None, &mut out);
        for (&bits, &x) in bits.iter().zip(&out) {
            let expected = bf16::from_bits(bits).to_f32();
            assert!(x == expected || (x.is_nan() && expected.is_nan()), "{bits:x}: {x} for {expected}");
        }
    }
}

#[test]
fn wide_rows_are_taken_in_parts() {
    for (inputs, outputs) in [(4096, 5), (4097, 9), (18_944, 7)] {
        let weights = noise(3, outputs * inputs, 1.0);
        let bits: Vec<u16> = weights.iter().map(|&x| bf16::from_f32(x).to_bits()).collect();
        let values: Vec<f32> = bits.iter().map(|&x| bf16::from_bits(x).to_f32()).collect();
        for rows in [1, 3, 6] {
            let x = noise(4, rows * inputs, 1.0);
            let mut out = vec![0.0; rows * outputs];
            for level in Level::all() {
                gemv_at::<Single>(level, &weights, inputs, &x, None, &mut out);
                assert_close(&out, &reference(&weights, inputs, &x, None), 1e-3, 0.0);
                gemv_at::<Brain>(level, &bits, inputs, &x, None, &mut out);
                assert_close(&out, &reference(&values, inputs, &x, None), 1e-3, 0.0);
            }
        }
    }
}

#[test]
#[should_panic(expected = "9 rows")]
fn more_rows_are_refused() {
    gemv_f32(&[0.0; 4], 2, &[0.0; 18], None, &mut [0.0; 18]);
}

/// A row alone is more than a task's share of bytes.
#[test]
fn rows_of_any_length_are_multiplied() {
    for inputs in [65_536, 65_537, 150_001] {
        let (weights, x) = (noise(1, 5 * inputs, 1.0), noise(2, 2 * inputs, 1.0));
        let mut out = vec![0.0; 2 * 5];
        gemv_f32(&weights, inputs, &x, None, &mut out);
        assert_close(&out, &reference(&weights, inputs, &x, None), 1e-3, 1e-6);
        let half: Vec<f16> = weights.iter().map(|&x| f16::from_f32(x)).collect();
        let values: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
        gemv_f16(&half, inputs, &x, None, &mut out);
        assert_close(&out, &reference(&values, inputs, &x, None), 1e-3, 1e-6);
    }
}

#[test]
fn threads_change_nothing() {
    let (weights, x) = (noise(1, 999 * 517, 1.0), noise(2, 3 * 517, 1.0));
    assert_same_on_any_threads(|| {
        let mut out = vec![0.0; 3 * 999];
        gemv_f32(&weights, 517, &x, None, &mut out);
        out
    });
}

/// What a row gives does not depend on the rows beside it: answers that are generated together are those generated alone.
#[test]
fn rows_beside_it_change_no_bit_of_a_row() {
    for (inputs, outputs) in [(5, 3), (517, 301), (4097, 9), (18_944, 6)] {
        let (weights, x) = (noise(1, outputs * inputs, 1.0), noise(2, MAX_ROWS * inputs, 1.0));
        let (bits, bias): (Vec<u16>, _) =
            (weights.iter().map(|&x| f16::from_f32(x).to_bits()).collect(), noise(3, outputs, 1.0));
        for level in Level::all() {
            let multiply = |x: &[f32]| {
                let mut out = [(); 3].map(|()| vec![0.0; x.len() / inputs * outputs]);
                gemv_at::<Single>(level, &weights, inputs, x, Some(&bias), &mut out[0]);
                gemv_at::<Half>(level, &bits, inputs, x, Some(&bias), &mut out[1]);
                gemv_at::<Brain>(level, &bits, inputs, x, Some(&bias), &mut out[2]);
                out
            };
            let alone: Vec<_> = x.chunks(inputs).map(multiply).collect();
            for rows in 2..=MAX_ROWS {
                for (format, together) in multiply(&x[..rows * inputs]).iter().enumerate() {
                    for (together, alone) in together.chunks(outputs).zip(&alone) {
                        assert!(same_bits(together, &alone[format]), "{rows} rows of {inputs}, format {format}");
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn products_equal_the_reference(seed: u64, rows in 1usize..=MAX_ROWS, outputs in 1usize..40, inputs in 1usize..200) {
        let (weights, x) = (noise(seed, outputs * inputs, 1.0), noise(seed ^ 1, rows * inputs, 1.0));
        let bias = noise(seed ^ 2, outputs, 1.0);
        let half: Vec<f16> = weights.iter().map(|&x| f16::from_f32(x)).collect();
        let brain: Vec<bf16> = weights.iter().map(|&x| bf16::from_f32(x)).collect();
        let half_values: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
        let brain_values: Vec<f32> = brain.iter().map(|x| x.to_f32()).collect();
        let mut out = vec![0.0; rows * outputs];
        for bias in [None, Some(&bias[..])] {
            let tolerance = 2e-6 * (inputs as f64).sqrt();
            gemv_f32(&weights, inputs, &x, bias, &mut out);
            assert_close(&out, &reference(&weights, inputs, &x, bias), tolerance, 1e-6);
            gemv_f16(&half, inputs, &x, bias, &mut out);
            assert_close(&out, &reference(&half_values, inputs, &x, bias), tolerance, 1e-6);
            gemv_bf16(&brain, inputs, &x, bias, &mut out);
            assert_close(&out, &reference(&brain_values, inputs, &x, bias), tolerance, 1e-6);
            for level in Level::all() {
                gemv_at::<Single>(level, &weights, inputs, &x, bias, &mut out);
                assert_close(&out, &reference(&weights, inputs, &x, bias), tolerance, 1e-6);
            }
        }
    }
}
