use super::{assert_gradient, dot};
use crate::backward::linear_backward;
use crate::tests::{assert_same_on_any_threads, noise, wide};
use proptest::prelude::*;

/// `x · weightᵀ + bias`.
fn forward(weight: &[f64], inputs: usize, x: &[f64], bias: &[f64]) -> Vec<f64> {
    let product = |x: &[f64], row: &[f64]| x.iter().zip(row).map(|(x, w)| x * w).sum::<f64>();
    x.chunks(inputs).flat_map(|x| weight.chunks(inputs).zip(bias).map(move |(row, b)| product(x, row) + b)).collect()
}

#[test]
fn no_rows_give_no_gradient() {
    let (mut grad_weight, mut grad_bias) = (vec![f32::NAN; 6], vec![f32::NAN; 2]);
    linear_backward(&[1.0; 6], 3, &[], &[], Some(&mut []), Some(&mut grad_weight), Some(&mut grad_bias));
    assert_eq!((grad_weight, grad_bias), (vec![0.0; 6], vec![0.0; 2]));
}

#[test]
fn threads_change_nothing() {
    let (rows, inputs, outputs) = (1001, 130, 301);
    let (x, weight) = (noise(1, rows * inputs, 1.0), noise(2, outputs * inputs, 1.0));
    let grad = noise(3, rows * outputs, 1.0);
    assert_same_on_any_threads(|| {
        let mut grads = [x.len(), weight.len(), outputs].map(|len| vec![0.0; len]);
        let [grad_x, grad_weight, grad_bias] = grads.each_mut().map(|grad| Some(&mut grad[..]));
        linear_backward(&weight, inputs, &x, &grad, grad_x, grad_weight, grad_bias);
        grads.concat()
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn gradients_of_products(seed: u64, rows in 1usize..40, inputs in 1usize..40, outputs in 1usize..40) {
        let (x, weight) = (noise(seed, rows * inputs, 1.0), noise(seed ^ 1, outputs * inputs, 1.0));
        let (bias, grad) = (noise(seed ^ 2, outputs, 1.0), noise(seed ^ 3, rows * outputs, 1.0));
        let mut grads = [x.len(), weight.len(), outputs].map(|len| vec![f32::NAN; len]);
        let [grad_x, grad_weight, grad_bias] = grads.each_mut().map(|grad| Some(&mut grad[..]));
        linear_backward(&weight, inputs, &x, &grad, grad_x, grad_weight, grad_bias);
        let (x64, weight64, bias64) = (wide(&x), wide(&weight), wide(&bias));
        assert_gradient(&grads[0], &x, 1e-5, |x| dot(&forward(&weight64, inputs, x, &bias64), &grad));
        assert_gradient(&grads[1], &weight, 1e-5, |weight| dot(&forward(weight, inputs, &x64, &bias64), &grad));
        assert_gradient(&grads[2], &bias, 1e-5, |bias| dot(&forward(&weight64, inputs, &x64, bias), &grad));

        let mut alone = vec![f32::NAN; weight.len()];
        linear_backward(&weight, inputs, &x, &grad, None, Some(&mut alone), None);
        prop_assert_eq!(&alone, &grads[1]);
    }
}
