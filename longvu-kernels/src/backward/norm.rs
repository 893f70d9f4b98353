//! Gradients of layer and root-mean-square norms.
//!
//! With unit = (x - mean) / deviation and g = grad * weight, the gradient of x is
//! (g - mean(g) - unit * mean(g * unit)) / deviation; the term mean(g) is the mean's, which root mean squares lack.

use super::sums::sum_rows;
use crate::elementwise::AddRow;
use crate::norm::statistics;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::{for_each, rows_per_task};

/// Some rows.
struct Rows<'a, const CENTRE: bool> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    grad: &'a [f32],
    grad_x: &'a mut [f32],
    /// The rows' sums: `grad * unit`, then with `CENTRE` `grad`.
    sums: &'a mut [f32],
}

impl<const CENTRE: bool> Kernel for Rows<'_, CENTRE> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        let (grad_weight, grad_bias) = self.sums.split_at_mut(width);
        let rows = self.x.chunks_exact(width).zip(self.grad.chunks_exact(width));
        for ((x, grad), grad_x) in rows.zip(self.grad_x.chunks_exact_mut(width)) {
            let (mean, inverse) = statistics(s, x, CENTRE, self.eps);
            let row = Row { x, weight: self.weight, grad, mean, inverse };
            let (plain, projected) = row.reduce(s, grad_weight);
            if CENTRE {
                AddRow { row: grad_bias, delta: grad, scale: None }.run(s);
            }
            let count = width as f32;
            row.write(s, if CENTRE { plain / count } else { 0.0 }, projected / count, grad_x);
        }
    }
}

/// One row and its statistics.
struct Row<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    grad: &'a [f32],
    mean: f32,
    inverse: f32,
}

impl Row<'_> {
    /// Adds `grad * unit` to the weight's gradient; returns the sums of g and of g * unit.
    #[inline(always)]
    fn reduce<S: Simd>(&self, s: S, grad_weight: &mut [f32]) -> (f32, f32) {
        let (xs, x_rest) = self.x.as_chunks::<LANES>();
        let (weights, weight_rest) = self.weight.as_chunks::<LANES>();
        let (grads, grad_rest) = self.grad.as_chunks::<LANES>();
        let (outs, out_rest) = grad_weight.as_chunks_mut::<LANES>();
        let (mean, inverse) = (s.splat(self.mean), s.splat(self.inverse));
        let mut sums = (s.splat(0.0), s.splat(0.0));
        for (((out, x), weight), grad) in outs.iter_mut().zip(xs).zip(weights).zip(grads) {
            let (grad, weight, sum) = (s.load(grad), s.load(weight), s.load(out));
            let product = s.mul(grad, s.mul(s.sub(s.load(x), mean), inverse));
            s.store(out, s.add(sum, product));
            sums = (s.fma(grad, weight, sums.0), s.fma(product, weight, sums.1));
        }
        let (grad, weight) = (s.load_part(grad_rest, 0.0), s.load_part(weight_rest, 0.0));
        let product = s.mul(grad, s.mul(s.sub(s.load_part(x_rest, 0.0), mean), inverse));
        let sum = s.add(s.load_part(out_rest, 0.0), product);
        s.store_part(out_rest, sum);
        (s.sum(s.fma(grad, weight, sums.0)), s.sum(s.fma(product, weight, sums.1)))
    }

    /// The gradient of x, from the means of g and of g * unit.
    #[inline(always)]
    fn write<S: Simd>(&self, s: S, plain: f32, projected: f32, grad_x: &mut [f32]) {
        let (xs, x_rest) = self.x.as_chunks::<LANES>();
        let (weights, weight_rest) = self.weight.as_chunks::<LANES>();
        let (grads, grad_rest) = self.grad.as_chunks::<LANES>();
        let (outs, out_rest) = grad_x.as_chunks_mut::<LANES>();
        let means = (s.splat(plain), s.splat(projected));
        for (((out, x), weight), grad) in outs.iter_mut().zip(xs).zip(weights).zip(grads) {
            s.store(out, self.element(s, s.load(x), s.load(weight), s.load(grad), means));
        }
        let (x, weight) = (s.load_part(x_rest, 0.0), s.load_part(weight_rest, 0.0));
        s.store_part(out_rest, self.element(s, x, weight, s.load_part(grad_rest, 0.0), means));
    }

    /// Sixteen elements of the gradient of x.
    #[inline(always)]
    fn element<S: Simd>(&self, s: S, x: S::F, weight: S::F, grad: S::F, (plain, projected): (S::F, S::F)) -> S::F {
        let (mean, inverse) = (s.splat(self.mean), s.splat(self.inverse));
        let unit = s.mul(s.sub(x, mean), inverse);
        let rest = s.sub(s.sub(s.mul(grad, weight), plain), s.mul(unit, projected));
        s.mul(rest, inverse)
    }
}

/// Writes the gradient of x; returns that of the weight, followed with `CENTRE` by that of the bias.
pub(crate) fn norm_backward_at<const CENTRE: bool>(
    level: Level,
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad: &[f32],
    grad_x: &mut [f32],
) -> Vec<f32> {
    let width = weight.len();
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} in {} elements", x.len());
    assert!(grad.len() == x.len() && grad_x.len() == x.len(), "input and gradients");
    let summed = if CENTRE { 2 * width } else { width };
    let task = rows_per_task(x.len() / width, width) * width;
    let mut parts = vec![0.0; x.len().div_ceil(task) * summed];
    let tasks = x.chunks(task).zip(grad.chunks(task)).zip(grad_x.chunks_mut(task)).zip(parts.chunks_mut(summed));
    for_each(tasks.collect(), |(((x, grad), grad_x), sums)| {
        level.run(Rows::<CENTRE> { x, weight, eps, grad, grad_x, sums });
    });
    let mut sums = vec![0.0; summed];
    sum_rows(level, &parts, &mut sums);
    sums
}

/// Gradients of [`layer_norm`](crate::layer_norm) from `grad`, that of its result: x, grad and `grad_x` are
/// `[rows, channels]`, weight, `grad_weight` and `grad_bias` `[channels]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn layer_norm_backward(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad: &[f32],
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
    grad_bias: &mut [f32],
) {
    assert!(grad_weight.len() == weight.len() && grad_bias.len() == weight.len(), "weight, bias and their gradients");
    let sums = norm_backward_at::<true>(Level::best(), x, weight, eps, grad, grad_x);
    let (of_weight, of_bias) = sums.split_at(weight.len());
    grad_weight.copy_from_slice(of_weight);
    grad_bias.copy_from_slice(of_bias);
}

/// Gradients of [`rms_norm`](crate::rms_norm) from `grad`, that of its result: x, grad and `grad_x` are
/// `[rows, channels]`, weight and `grad_weight` `[channels]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad: &[f32],
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
) {
    assert_eq!(grad_weight.len(), weight.len(), "weight and its gradient");
    let sums = norm_backward_at::<false>(Level::best(), x, weight, eps, grad, grad_x);
    grad_weight.copy_from_slice(&sums);
}
