use super::super::norm::reference;
use super::{assert_gradient, dot};
use crate::backward::norm::norm_backward_at;
use crate::backward::{layer_norm_backward, rms_norm_backward};
use crate::norm::Parameters;
use crate::simd::Level;
use crate::tests::{assert_same_on_any_threads, noise, wide};
use proptest::prelude::*;

const EPS: f32 = 1e-3;

/// The norm without a bias, which no gradient but its own depends on.
fn forward(x: &[f64], weight: &[f32], centre: bool) -> Vec<f64> {
    reference(x, Parameters { weight, bias: None, centre, eps: EPS })
}

fn check<const CENTRE: bool>(x: &[f32], weight: &[f32], grad: &[f32]) {
    let width = weight.len();
    for level in Level::all() {
        let mut grad_x = vec![f32::NAN; x.len()];
        let sums = norm_backward_at::<CENTRE>(level, x, weight, EPS, grad, &mut grad_x);
        assert_gradient(&grad_x, x, 2e-5, |x| dot(&forward(x, weight, CENTRE), grad));
        // The weight is a factor: one forward pass with weights of 1 serves every difference.
        let unit = forward(&wide(x), &vec![1.0; width], CENTRE);
        let scaled = |weight: &[f64]| unit.iter().enumerate().map(|(i, u)| u * weight[i % width]).collect::<Vec<_>>();
        assert_gradient(&sums[..width], weight, 2e-5, |weight| dot(&scaled(weight), grad));
        if CENTRE {
            let shifted = |bias: &[f64]| unit.iter().enumerate().map(|(i, u)| u + bias[i % width]).collect::<Vec<_>>();
            assert_gradient(&sums[width..], weight, 2e-5, |bias| dot(&shifted(bias), grad));
        } else {
            assert_eq!(sums.len(), width);
        }
    }
}

#[test]
fn rows_of_several_tasks_are_summed() {
    let (x, weight, grad) = (noise(1, 700 * 101, 2.0), noise(2, 101, 1.0), noise(3, 700 * 101, 1.0));
    check::<true>(&x, &weight, &grad);
    check::<false>(&x, &weight, &grad);
}

#[test]
fn no_rows_give_no_gradient() {
    let (mut grad_weight, mut grad_bias) = ([f32::NAN; 3], [f32::NAN; 3]);
    layer_norm_backward(&[], &[1.0; 3], EPS, &[], &mut [], &mut grad_weight, &mut grad_bias);
    assert_eq!([grad_weight, grad_bias], [[0.0; 3]; 2]);
}

#[test]
fn threads_change_nothing() {
    let (x, weight, grad) = (noise(1, 601 * 301, 6.0), noise(2, 301, 1.0), noise(3, 601 * 301, 1.0));
    assert_same_on_any_threads(|| {
        let (mut a, mut b) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let (mut weight_a, mut bias_a, mut weight_b) = (vec![0.0; 301], vec![0.0; 301], vec![0.0; 301]);
        layer_norm_backward(&x, &weight, EPS, &grad, &mut a, &mut weight_a, &mut bias_a);
        rms_norm_backward(&x, &weight, EPS, &grad, &mut b, &mut weight_b);
        [a, b, weight_a, bias_a, weight_b].concat()
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]
    #[test]
    fn gradients_of_norms(seed: u64, rows in 1usize..5, width in 1usize..80, shift in -3.0f32..3.0) {
        let mut x = noise(seed, rows * width, 2.0);
        x.iter_mut().for_each(|x| *x += shift);
        let (weight, grad) = (noise(seed ^ 1, width, 2.0), noise(seed ^ 2, rows * width, 1.0));
        // A layer norm of so few elements is nearly a step.
        if width > 2 {
            check::<true>(&x, &weight, &grad);
        }
        check::<false>(&x, &weight, &grad);
    }
}
