//! Cross-entropy with its gradient, which the loss gives away for little more.

use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::{for_each, rows_per_task};

/// Vectors whose powers are added in `f32` before they go into a sum of `f64`.
const BLOCK: usize = 64;

/// `out = e^(logits - max)`; returns the maximum and the sum of the powers.
struct Powers<'a> {
    logits: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Powers<'_> {
    type Out = (f32, f64);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f32, f64) {
        let (blocks, rest) = self.logits.as_chunks::<LANES>();
        let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
        let mut max = s.load_part(rest, f32::NEG_INFINITY);
        for x in blocks {
            max = s.max(s.load(x), max);
        }
        let greatest = s.max_lane(max);
        let max = s.splat(greatest);
        let powers = math::exp(s, s.sub(s.load_part(rest, f32::NEG_INFINITY), max));
        s.store_part(out_rest, powers);
        let mut sum = f64::from(s.sum(powers));
        for (outs, blocks) in outs.chunks_mut(BLOCK).zip(blocks.chunks(BLOCK)) {
            let mut part = s.splat(0.0);
            for (out, x) in outs.iter_mut().zip(blocks) {
                let powers = math::exp(s, s.sub(s.load(x), max));
                part = s.add(part, powers);
                s.store(out, powers);
            }
            sum += f64::from(s.sum(part));
        }
        (greatest, sum)
    }
}

/// `row *= factor`.
struct Scale<'a> {
    row: &'a mut [f32],
    factor: f32,
}

impl Kernel for Scale<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (blocks, rest) = self.row.as_chunks_mut::<LANES>();
        for x in blocks {
            let product = s.mul(s.load(x), s.splat(self.factor));
            s.store(x, product);
        }
        rest.iter_mut().for_each(|x| *x *= self.factor);
    }
}

/// The loss of a row, and its gradient.
fn row(level: Level, logits: &[f32], target: u32, weight: f32, grad: &mut [f32]) -> f64 {
    let target = target as usize;
    assert!(target < logits.len(), "target {target} of {} columns", logits.len());
    let (max, sum) = level.run(Powers { logits, out: grad });
    level.run(Scale { row: grad, factor: (f64::from(weight) / sum) as f32 });
    grad[target] -= weight;
    f64::from(weight) * (sum.ln() + f64::from(max) - f64::from(logits[target]))
}

/// The weighted sum of `-log softmax(logits)[target]` over rows, and its gradient `weight * (softmax - one-hot)`: logits
/// and grad are `[rows, columns]`, targets and weights `[rows]`. A row of weight 0 is not read, and its target may be
/// anything; its gradient is 0.
///
/// The gradient is within 1e-6 of the row's weight, a loss within 1e-6 of itself and of the greatest logit.
///
/// # Panics
/// If the lengths do not fit, or a target of a weight other than 0 is no column.
pub fn softmax_cross_entropy(logits: &[f32], targets: &[u32], weights: &[f32], grad: &mut [f32]) -> f32 {
    softmax_cross_entropy_at(Level::best(), logits, targets, weights, grad)
}

pub(crate) fn softmax_cross_entropy_at(
    level: Level,
    logits: &[f32],
    targets: &[u32],
    weights: &[f32],
    grad: &mut [f32],
) -> f32 {
    let rows = targets.len();
    assert_eq!(weights.len(), rows, "targets and weights");
    assert_eq!(grad.len(), logits.len(), "logits and their gradient");
    if rows == 0 || logits.is_empty() {
        assert!(logits.is_empty(), "{} logits in no rows", logits.len());
        return 0.0;
    }
    let columns = logits.len() / rows;
    assert_eq!(logits.len(), rows * columns, "logits in {rows} rows");
    let task = rows_per_task(rows, columns);
    let mut losses = vec![0.0; rows];
    let tasks = grad.chunks_mut(task * columns).zip(losses.chunks_mut(task)).enumerate();
    for_each(tasks.collect(), |(i, (grad, losses))| {
        for (j, (grad, loss)) in grad.chunks_exact_mut(columns).zip(losses).enumerate() {
            let at = i * task + j;
            if weights[at] == 0.0 {
                grad.fill(0.0);
            } else {
                *loss = row(level, &logits[at * columns..][..columns], targets[at], weights[at], grad);
            }
        }
    });
    losses.iter().sum::<f64>() as f32
}
