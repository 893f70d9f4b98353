use super::assert_gradient;
use crate::backward::cross_entropy::softmax_cross_entropy_at;
use crate::backward::softmax_cross_entropy;
use crate::simd::Level;
use crate::tests::{assert_same_on_any_threads, noise, wide};
use proptest::prelude::*;

fn forward(logits: &[f64], targets: &[u32], weights: &[f32]) -> f64 {
    let columns = logits.len() / targets.len();
    let loss = |((row, &target), &weight): ((&[f64], &u32), &f32)| {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = row.iter().map(|x| (x - max).exp()).sum();
        f64::from(weight) * if weight == 0.0 { 0.0 } else { total.ln() + max - row[target as usize] }
    };
    logits.chunks(columns).zip(targets).zip(weights).map(loss).sum()
}

/// Columns that are no pattern of the rows.
fn targets(rows: usize, columns: usize) -> Vec<u32> {
    (0..rows).map(|row| (row * 7919 % columns) as u32).collect()
}

#[test]
fn rows_of_no_weight_are_not_read() {
    let mut logits = noise(1, 3 * 20, 3.0);
    logits[20..40].fill(f32::NAN);
    for level in Level::all() {
        let mut grad = vec![f32::NAN; 60];
        let loss = softmax_cross_entropy_at(level, &logits, &[3, u32::MAX, 19], &[1.0, 0.0, 2.0], &mut grad);
        assert!(loss.is_finite() && grad[20..40].iter().all(|g| *g == 0.0));
        assert!(grad.iter().all(|g| g.is_finite()));
    }
    assert_eq!(softmax_cross_entropy(&[], &[], &[], &mut []), 0.0);
}

#[test]
fn large_logits_and_hidden_columns() {
    for level in Level::all() {
        let mut logits = vec![f32::NEG_INFINITY; 37];
        (logits[4], logits[36]) = (3e4, 3e4 - 1.0);
        let mut grad = vec![f32::NAN; 37];
        let loss = softmax_cross_entropy_at(level, &logits, &[36], &[0.5], &mut grad);
        let expected = forward(&wide(&logits), &[36], &[0.5]);
        assert!((f64::from(loss) - expected).abs() < 1e-6, "{loss} for {expected}");
        let probability = 1.0 / (1.0 + 1f32.exp());
        assert!((grad[36] - 0.5 * (probability - 1.0)).abs() < 1e-6 && grad[0] == 0.0, "{grad:?}");
    }
}

#[test]
fn a_vocabulary_of_columns() {
    let (logits, targets, weights) = (noise(1, 2 * 152_064, 5.0), targets(2, 152_064), [0.25, 1.0]);
    for level in Level::all() {
        let mut grad = vec![f32::NAN; logits.len()];
        let loss = softmax_cross_entropy_at(level, &logits, &targets, &weights, &mut grad);
        let expected = forward(&wide(&logits), &targets, &weights);
        assert!((f64::from(loss) - expected).abs() < 1e-6 * expected, "{loss} for {expected}");
        // Of the softmax and of one column, weight cancels weight.
        let sum: f64 = wide(&grad).iter().sum();
        assert!(sum.abs() < 1e-6, "{sum:e}");
    }
}

#[test]
#[should_panic(expected = "target 5 of 5 columns")]
fn targets_beyond_the_columns_are_refused() {
    softmax_cross_entropy(&[0.0; 5], &[5], &[1.0], &mut [0.0; 5]);
}

#[test]
fn threads_change_nothing() {
    let (logits, targets, weights) = (noise(1, 700 * 301, 5.0), targets(700, 301), noise(2, 700, 1.0));
    assert_same_on_any_threads(|| {
        let mut grad = vec![0.0; logits.len()];
        let loss = softmax_cross_entropy(&logits, &targets, &weights, &mut grad);
        grad.push(loss);
        grad
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn gradients_of_losses(seed: u64, rows in 1usize..6, columns in 1usize..90, size in 0.1f32..20.0) {
        let logits = noise(seed, rows * columns, size);
        let (targets, mut weights) = (targets(rows, columns), noise(seed ^ 1, rows, 1.0));
        weights[seed as usize % rows] = 0.0;
        for level in Level::all() {
            let mut grad = vec![f32::NAN; logits.len()];
            let loss = softmax_cross_entropy_at(level, &logits, &targets, &weights, &mut grad);
            let expected = forward(&wide(&logits), &targets, &weights);
            prop_assert!((f64::from(loss) - expected).abs() <= 1e-5, "{loss} for {expected}");
            assert_gradient(&grad, &logits, 1e-6, |logits| forward(logits, &targets, &weights));
        }
    }
}
