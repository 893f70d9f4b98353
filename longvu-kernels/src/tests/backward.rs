//! Every gradient against central differences of a plain forward pass in f64.

mod activation;
mod attention;
mod cross_entropy;
mod linear;
mod norm;
mod rotary;

use super::wide;

/// Asserts that `grad` is the gradient of `loss` at `x`, within `tolerance` of the greatest of the compared differences
/// and of 1. Of long inputs about a hundred elements are compared, spread evenly.
fn assert_gradient(grad: &[f32], x: &[f32], tolerance: f64, loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-4;
    assert_eq!(grad.len(), x.len());
    let mut x = wide(x);
    let mut difference = |i: usize| {
        let at = x[i];
        let [above, below] = [at + STEP, at - STEP].map(|moved| {
            x[i] = moved;
            loss(&x)
        });
        x[i] = at;
        (above - below) / (2.0 * STEP)
    };
    let stride = (grad.len() / 100).max(1);
    let differences: Vec<_> = (0..grad.len()).step_by(stride).map(|i| (i, difference(i))).collect();
    let greatest = differences.iter().fold(1.0, |greatest: f64, (_, d)| greatest.max(d.abs()));
    for (i, expected) in differences {
        let actual = f64::from(grad[i]);
        assert!((actual - expected).abs() <= tolerance * greatest, "element {i}: {actual:e} for {expected:e}");
    }
}

/// A loss whose gradient with respect to `y` is `grad`.
fn dot(y: &[f64], grad: &[f32]) -> f64 {
    assert_eq!(y.len(), grad.len());
    y.iter().zip(grad).map(|(y, g)| y * f64::from(*g)).sum()
}
