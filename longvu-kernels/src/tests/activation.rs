use super::{assert_close, assert_same_on_any_threads, noise, wide};
use crate::activation::{Gelu, GeluTanh, Silu, Unary, apply_at, silu_mul_at, swiglu_at};
use crate::simd::Level;
use crate::{gelu, gelu_into, gelu_tanh, gelu_tanh_into, silu, silu_into, silu_mul, silu_mul_in_place, swiglu};
use proptest::prelude::*;

/// The upper tail of the standard normal distribution at a >= 0: a series below 3, a continued fraction above.
fn tail(a: f64) -> f64 {
    let bell = (-a * a / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 1.0);
        while term > 1e-20 {
            n += 2.0;
            term *= a * a / n;
            sum += term;
        }
        0.5 - bell * sum
    } else {
        let fraction = (1..200).rev().fold(a, |fraction, k| a + f64::from(k) / fraction);
        bell / fraction
    }
}

pub(super) fn gelu_reference(x: f64) -> f64 {
    if x > 0.0 { x * (1.0 - tail(x)) } else { x * tail(-x) }
}

pub(super) fn gelu_tanh_reference(x: f64) -> f64 {
    let y = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    x / (1.0 + (-2.0 * y).exp())
}

pub(super) fn silu_reference(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn check(op: impl Unary, reference: impl Fn(f64) -> f64, x: &[f32], bias: Option<&[f32]>) {
    let sum = |(i, x): (usize, &f32)| x + bias.map_or(0.0, |bias| bias[i % bias.len()]);
    let expected: Vec<f64> = x.iter().enumerate().map(sum).map(|x| reference(f64::from(x))).collect();
    for level in Level::all() {
        let mut y = x.to_vec();
        apply_at(level, op, &mut y, bias);
        assert_close(&y, &expected, 3e-7, 3e-7);
    }
}

/// The greatest absolute and relative error over a range, of results above `floor`.
fn errors(op: impl Unary, reference: impl Fn(f64) -> f64, from: f32, to: f32, floor: f64) -> (f64, f64) {
    let x: Vec<f32> = (0..=2_000_000).map(|i| from + (to - from) * (i as f32 / 2e6)).collect();
    let mut greatest = (0.0f64, 0.0f64);
    for level in Level::all() {
        let mut y = x.clone();
        apply_at(level, op, &mut y, None);
        for (&x, &y) in x.iter().zip(&y) {
            let expected = reference(f64::from(x));
            let error = (f64::from(y) - expected).abs();
            greatest.0 = greatest.0.max(error / expected.abs().max(1.0));
            if expected.abs() > floor {
                greatest.1 = greatest.1.max(error / expected.abs());
            }
        }
    }
    greatest
}

#[test]
fn errors_stay_within_what_is_documented() {
    let all = [
        ("gelu", errors(Gelu, gelu_reference, -8.0, 8.0, 1e-6), 3e-6),
        ("gelu_tanh", errors(GeluTanh, gelu_tanh_reference, -8.0, 8.0, 1e-6), 3e-6),
        ("silu", errors(Silu, silu_reference, -80.0, 80.0, 1e-6), 1e-6),
    ];
    for (name, (absolute, relative), limit) in all {
        let errors = format!("{name}: {absolute:e} absolute, {relative:e} relative");
        assert!(absolute <= 2e-7 && relative <= limit, "{errors}");
    }
}

#[test]
fn extreme_inputs_are_saturated() {
    let x = [0.0, -0.0, 1e-40, -1e-40, 1e30, -1e30, f32::MAX, f32::MIN, 40.0, -40.0, 100.0, -100.0, f32::NAN];
    check(Gelu, gelu_reference, &x[..4], None);
    for level in Level::all() {
        let run = |x: f32| {
            let (mut a, mut b, mut c) = ([x; 19], [x; 19], [x; 19]);
            apply_at(level, Gelu, &mut a, None);
            apply_at(level, GeluTanh, &mut b, None);
            apply_at(level, Silu, &mut c, None);
            assert!([a, b, c].iter().all(|y| y.iter().all(|z| z.to_bits() == y[0].to_bits())));
            [a[0], b[0], c[0]]
        };
        for x in x {
            for y in run(x) {
                if x.is_nan() {
                    assert!(y.is_nan());
                } else if x >= 40.0 {
                    assert_eq!(y, x);
                } else if x <= -100.0 {
                    assert!(y.abs() < 1e-30, "{y} of {x}");
                } else {
                    assert!((y - x.max(0.0)).abs() < 1e-6, "{y} of {x}");
                }
            }
        }
        assert_eq!(run(f32::INFINITY), [f32::INFINITY; 3]);
    }
}

#[test]
fn empty_inputs_are_left_alone() {
    gelu(&mut [], None);
    gelu_into(&[], Some(&[1.0]), &mut []);
    silu_mul(&[], &[], &mut []);
    swiglu(&[], 3, None, &mut []);
}

#[test]
fn threads_change_nothing() {
    let (x, bias) = (noise(1, 301 * 701, 6.0), noise(2, 701, 1.0));
    assert_same_on_any_threads(|| {
        let mut y = x.clone();
        gelu_tanh(&mut y, Some(&bias));
        silu(&mut y, None);
        gelu(&mut y, None);
        y
    });
}

proptest! {
    #[test]
    fn activations_equal_the_reference(seed: u64, rows in 1usize..5, width in 1usize..90, size in 0.1f32..30.0) {
        let (x, bias) = (noise(seed, rows * width, size), noise(seed ^ 1, width, 1.0));
        for bias in [None, Some(&bias[..])] {
            check(Gelu, gelu_reference, &x, bias);
            check(GeluTanh, gelu_tanh_reference, &x, bias);
            check(Silu, silu_reference, &x, bias);
        }
    }

    #[test]
    fn gates_equal_the_reference(seed: u64, rows in 1usize..5, inner in 1usize..90) {
        let (fused, bias) = (noise(seed, rows * inner * 2, 5.0), noise(seed ^ 1, inner * 2, 1.0));
        for bias in [None, Some(&bias[..])] {
            let at = |row: usize, i: usize| fused[row * 2 * inner + i] + bias.map_or(0.0, |bias| bias[i]);
            let (mut gate, mut up) = (Vec::new(), Vec::new());
            for row in 0..rows {
                gate.extend((0..inner).map(|i| at(row, i)));
                up.extend((0..inner).map(|i| at(row, inner + i)));
            }
            let product = |(g, u): (&f64, &f64)| silu_reference(*g) * u;
            let expected: Vec<f64> = wide(&gate).iter().zip(&wide(&up)).map(product).collect();
            let mut out = vec![0.0; rows * inner];
            for level in Level::all() {
                swiglu_at(level, &fused, inner, bias, &mut out);
                assert_close(&out, &expected, 1e-6, 1e-6);
                silu_mul_at(level, &gate, &up, &mut out);
                assert_close(&out, &expected, 1e-6, 1e-6);
            }
            silu_mul_in_place(&mut gate, &up);
            assert_close(&gate, &expected, 1e-6, 1e-6);
        }
    }

    #[test]
    fn both_destinations_get_the_same(seed: u64, len in 0usize..20_000) {
        let x = noise(seed, len, 4.0);
        let mut out = vec![0.0; len];
        type InPlace = fn(&mut [f32], Option<&[f32]>);
        type Into = fn(&[f32], Option<&[f32]>, &mut [f32]);
        let forms: [(InPlace, Into); 3] = [(gelu, gelu_into), (gelu_tanh, gelu_tanh_into), (silu, silu_into)];
        for (in_place, into) in forms {
            let mut y = x.clone();
            in_place(&mut y, None);
            into(&x, None, &mut out);
            prop_assert_eq!(&y, &out);
        }
    }
}
