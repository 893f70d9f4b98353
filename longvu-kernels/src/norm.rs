//! Layer and root-mean-square norms over rows, in f32 with sixteen partial sums.
//!
//! Error against f64: 2e-6 of the greatest element of the normalised row.

use crate::elementwise::AddRow;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::{for_each, rows_per_task};

/// `out = (x - mean) / deviation * weight + bias`; the mean is 0 for root mean squares.
struct Norm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    centre: bool,
    eps: f32,
    out: &'a mut [f32],
}

/// The sum of the elements.
#[inline(always)]
fn total<S: Simd>(s: S, x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let (pairs, odd) = blocks.as_chunks::<2>();
    let mut sums = [s.load_part(rest, 0.0), s.splat(0.0)];
    for [a, b] in pairs {
        sums = [s.add(sums[0], s.load(a)), s.add(sums[1], s.load(b))];
    }
    for x in odd {
        sums[0] = s.add(sums[0], s.load(x));
    }
    s.sum(s.add(sums[0], sums[1]))
}

/// The sum of squared distances from `mean`.
#[inline(always)]
fn squares<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let (pairs, odd) = blocks.as_chunks::<2>();
    let centre = s.splat(mean);
    let distance = s.sub(s.load_part(rest, mean), centre);
    let mut sums = [s.mul(distance, distance), s.splat(0.0)];
    for [a, b] in pairs {
        let (a, b) = (s.sub(s.load(a), centre), s.sub(s.load(b), centre));
        sums = [s.fma(a, a, sums[0]), s.fma(b, b, sums[1])];
    }
    for x in odd {
        let a = s.sub(s.load(x), centre);
        sums[0] = s.fma(a, a, sums[0]);
    }
    s.sum(s.add(sums[0], sums[1]))
}

/// What a row is shifted and scaled by: its mean, 0 unless `centre`, and one over the deviation from it.
#[inline(always)]
pub(crate) fn statistics<S: Simd>(s: S, x: &[f32], centre: bool, eps: f32) -> (f32, f32) {
    let count = x.len() as f32;
    let mean = if centre { total(s, x) / count } else { 0.0 };
    (mean, 1.0 / (squares(s, x, mean) / count + eps).sqrt())
}

impl Kernel for Norm<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (mean, inverse) = statistics(s, self.x, self.centre, self.eps);
        let (centre, scale) = (s.splat(mean), s.splat(inverse));
        let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
        let (xs, x_rest) = self.x.as_chunks::<LANES>();
        let (weights, weight_rest) = self.weight.as_chunks::<LANES>();
        if let Some(bias) = self.bias {
            let (biases, bias_rest) = bias.as_chunks::<LANES>();
            for (((out, x), weight), bias) in outs.iter_mut().zip(xs).zip(weights).zip(biases) {
                let unit = s.mul(s.sub(s.load(x), centre), scale);
                s.store(out, s.fma(unit, s.load(weight), s.load(bias)));
            }
            for (((out, x), weight), bias) in out_rest.iter_mut().zip(x_rest).zip(weight_rest).zip(bias_rest) {
                *out = (x - mean) * inverse * weight + bias;
            }
        } else {
            for ((out, x), weight) in outs.iter_mut().zip(xs).zip(weights) {
                let unit = s.mul(s.sub(s.load(x), centre), scale);
                s.store(out, s.mul(unit, s.load(weight)));
            }
            for ((out, x), weight) in out_rest.iter_mut().zip(x_rest).zip(weight_rest) {
                *out = (x - mean) * inverse * weight;
            }
        }
    }
}

/// The learnt part of a norm, and which norm.
#[derive(Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub centre: bool,
    pub eps: f32,
}

impl Parameters<'_> {
    /// The row's width.
    fn width(&self, x: &[f32], out: &[f32]) -> usize {
        let width = self.weight.len();
        assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} in {} elements", x.len());
        assert!(self.bias.is_none_or(|bias| bias.len() == width), "weight and bias");
        assert_eq!(x.len(), out.len(), "input and output");
        width
    }

    fn row(&self, level: Level, x: &[f32], out: &mut [f32]) {
        let Self { weight, bias, centre, eps } = *self;
        level.run(Norm { x, weight, bias, centre, eps, out });
    }
}

pub(crate) fn norm_at(level: Level, x: &[f32], parameters: Parameters<'_>, out: &mut [f32]) {
    let width = parameters.width(x, out);
    let task = rows_per_task(x.len() / width, width) * width;
    for_each(x.chunks(task).zip(out.chunks_mut(task)).collect(), |(x, out)| {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            parameters.row(level, x, out);
        }
    });
}

pub(crate) fn add_norm_at(
    level: Level,
    residual: &mut [f32],
    (delta, scale): (&[f32], Option<&[f32]>),
    parameters: Parameters<'_>,
    out: &mut [f32],
) {
    let width = parameters.width(residual, out);
    assert_eq!(residual.len(), delta.len(), "residual and delta");
    assert!(scale.is_none_or(|scale| scale.len() == width), "scale of a row");
    let task = rows_per_task(residual.len() / width, width) * width;
    let tasks = residual.chunks_mut(task).zip(delta.chunks(task)).zip(out.chunks_mut(task)).collect();
    for_each(tasks, |((residual, delta), out)| {
        let rows = residual.chunks_exact_mut(width).zip(delta.chunks_exact(width)).zip(out.chunks_exact_mut(width));
        for ((row, delta), out) in rows {
            level.run(AddRow { row, delta, scale });
            parameters.row(level, row, out);
        }
    });
}

/// `out = (x - mean) / sqrt(variance + eps) * weight + bias` of each row; x and out are `[rows, channels]`, weight and
/// bias `[channels]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    norm_at(Level::best(), x, Parameters { weight, bias, centre: true, eps }, out);
}

/// `out = x / sqrt(mean(x^2) + eps) * weight` of each row; x and out are `[rows, channels]`, weight `[channels]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    norm_at(Level::best(), x, Parameters { weight, bias: None, centre: false, eps }, out);
}

/// `residual += delta * scale`, then `out = layer_norm(residual)`; scale `[channels]` is a layer scale, absent for 1.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_layer_norm(
    residual: &mut [f32],
    delta: &[f32],
    scale: Option<&[f32]>,
    weight: &[f32],
    bias: Option<&[f32]>,
    eps: f32,
    out: &mut [f32],
) {
    add_norm_at(Level::best(), residual, (delta, scale), Parameters { weight, bias, centre: true, eps }, out);
}

/// `residual += delta`, then `out = rms_norm(residual)`.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_rms_norm(residual: &mut [f32], delta: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    add_norm_at(Level::best(), residual, (delta, None), Parameters { weight, bias: None, centre: false, eps }, out);
}
