use super::super::activation::{gelu_reference, gelu_tanh_reference, silu_reference};
use super::{assert_gradient, dot};
use crate::activation::Unary;
use crate::backward::activation::{
    GeluDerivative, GeluTanhDerivative, scale_at, silu_mul_backward_at, swiglu_backward_at,
};
use crate::backward::{gelu_backward, gelu_tanh_backward, silu_mul_backward, swiglu_backward};
use crate::simd::Level;
use crate::tests::{assert_same_on_any_threads, noise};
use proptest::prelude::*;

/// The greatest error of a derivative from -15 to 15.
fn error(op: impl Unary, forward: impl Fn(f64) -> f64) -> f64 {
    const STEP: f64 = 1e-5;
    let x: Vec<f32> = (0..=300_001).map(|i| (i as f32 - 150_000.0) / 1e4).collect();
    let expected = |x: f64| (forward(x + STEP) - forward(x - STEP)) / (2.0 * STEP);
    let expected: Vec<f64> = x.iter().map(|&x| expected(f64::from(x))).collect();
    let mut greatest = 0.0f64;
    for level in Level::all() {
        let mut grad = vec![1.0; x.len()];
        scale_at(level, op, &x, &mut grad);
        greatest = grad.iter().zip(&expected).fold(greatest, |max, (g, e)| max.max((f64::from(*g) - e).abs()));
    }
    greatest
}

/// Both gradients of `silu(gate) * up` where `up` and the gradient are 1.
fn silu_slopes(level: Level, gate: f32) -> [f32; 2] {
    let (mut grad_gate, mut grad_up) = ([0.0; 19], [0.0; 19]);
    silu_mul_backward_at(level, &[gate; 19], &[1.0; 19], &[1.0; 19], &mut grad_gate, &mut grad_up);
    assert!(grad_gate.iter().all(|g| g.to_bits() == grad_gate[0].to_bits()));
    [grad_gate[0], grad_up[0]]
}

#[test]
fn errors_stay_within_what_is_documented() {
    let (gelu, tanh) = (error(GeluDerivative, gelu_reference), error(GeluTanhDerivative, gelu_tanh_reference));
    assert!(gelu <= 1e-6 && tanh <= 1e-6, "gelu {gelu:e}, gelu_tanh {tanh:e}");
}

#[test]
fn extreme_inputs_are_saturated() {
    for level in Level::all() {
        for size in [50.0, 1e30, f32::MAX, f32::INFINITY] {
            for (x, limit) in [(size, 1.0), (-size, 0.0)] {
                let (mut a, mut b) = ([1.0; 19], [1.0; 19]);
                scale_at(level, GeluDerivative, &[x; 19], &mut a);
                scale_at(level, GeluTanhDerivative, &[x; 19], &mut b);
                let slope = silu_slopes(level, x)[0];
                assert!([a, b].concat().iter().chain([&slope]).all(|y| (y - limit).abs() < 1e-15), "{x}: {a:?} {b:?}");
            }
        }
        let mut grad = [1.0; 19];
        scale_at(level, GeluDerivative, &[f32::NAN; 19], &mut grad);
        scale_at(level, GeluTanhDerivative, &[0.0; 19], &mut grad);
        assert!(grad.iter().all(|g| g.is_nan()) && silu_slopes(level, f32::NAN)[0].is_nan());
    }
}

#[test]
fn empty_inputs_are_left_alone() {
    gelu_backward(&[], &mut []);
    gelu_tanh_backward(&[], &mut []);
    silu_mul_backward(&[], &[], &[], &mut [], &mut []);
    swiglu_backward(&[], &[], 3, &mut []);
}

#[test]
fn threads_change_nothing() {
    let [x, y, z] = [1, 2, 3].map(|seed| noise(seed, 200_001, 4.0));
    assert_same_on_any_threads(|| {
        let (mut a, mut b) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        silu_mul_backward(&x, &y, &z, &mut a, &mut b);
        gelu_backward(&x, &mut a);
        gelu_tanh_backward(&y, &mut b);
        [a, b].concat()
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn element_wise_gradients(seed: u64, len in 1usize..90, size in 0.1f32..10.0) {
        let [x, grad] = [(seed, size), (seed ^ 1, 1.0)].map(|(seed, size)| noise(seed, len, size));
        let sum = |x: &[f64], f: fn(f64) -> f64| dot(&x.iter().map(|&x| f(x)).collect::<Vec<_>>(), &grad);
        for level in Level::all() {
            let (mut a, mut b) = (grad.clone(), grad.clone());
            scale_at(level, GeluDerivative, &x, &mut a);
            scale_at(level, GeluTanhDerivative, &x, &mut b);
            assert_gradient(&a, &x, 1e-6, |x| sum(x, gelu_reference));
            assert_gradient(&b, &x, 1e-6, |x| sum(x, gelu_tanh_reference));
        }
    }

    #[test]
    fn gradients_of_gates(seed: u64, rows in 1usize..4, inner in 1usize..50) {
        let (fused, grad) = (noise(seed, rows * 2 * inner, 5.0), noise(seed ^ 1, rows * inner, 1.0));
        let loss = |fused: &[f64]| {
            let product = |row: &[f64]| (0..inner).map(|i| silu_reference(row[i]) * row[inner + i]).collect::<Vec<_>>();
            dot(&fused.chunks(2 * inner).flat_map(product).collect::<Vec<_>>(), &grad)
        };
        let half = |x: &[f32], from: usize| -> Vec<f32> {
            x.chunks(2 * inner).flat_map(|row| row[from..from + inner].to_vec()).collect()
        };
        for level in Level::all() {
            let mut grad_fused = vec![f32::NAN; fused.len()];
            swiglu_backward_at(level, &fused, &grad, inner, &mut grad_fused);
            assert_gradient(&grad_fused, &fused, 2e-6, loss);
            let (mut grad_gate, mut grad_up) = (vec![f32::NAN; grad.len()], vec![f32::NAN; grad.len()]);
            let (gate, up) = (half(&fused, 0), half(&fused, inner));
            silu_mul_backward_at(level, &gate, &up, &grad, &mut grad_gate, &mut grad_up);
            for (a, b) in [(grad_gate, half(&grad_fused, 0)), (grad_up, half(&grad_fused, inner))] {
                prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-6), "{a:?} {b:?}");
            }
        }
    }
}
