//! Products of a weight matrix and a few rows: the weights are read once, by all threads.

use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_each;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Rows of activations that one call takes. More are better served by a matrix product.
pub const MAX_ROWS: usize = 8;

/// Bytes of weights of a task: enough to hide the hand-over, few enough to balance the threads.
pub(crate) const TASK_BYTES: usize = 1 << 18;

/// How a weight is stored.
pub(crate) trait Format: Copy + Send + Sync {
    /// A stored weight.
    type Bits: Copy + Send + Sync + Default;
    fn load<S: Simd>(s: S, x: &[Self::Bits; LANES]) -> S::F;
}

/// `f32`.
#[derive(Clone, Copy)]
pub(crate) struct Single;
/// Bits of `f16`.
#[derive(Clone, Copy)]
pub(crate) struct Half;
/// Bits of `bf16`.
#[derive(Clone, Copy)]
pub(crate) struct Brain;

impl Format for Single {
    type Bits = f32;
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32; LANES]) -> S::F {
        s.load(x)
    }
}

impl Format for Half {
    type Bits = u16;
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[u16; LANES]) -> S::F {
        s.load_f16(x)
    }
}

impl Format for Brain {
    type Bits = u16;
    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[u16; LANES]) -> S::F {
        s.load_bf16(x)
    }
}

/// `out[r, o] = sum over i of weights[o, i] * x[r, i] + bias[o]`: weights `[outputs, inputs]`, x `[rows, inputs]` of 1 to
/// [`MAX_ROWS`] rows, bias `[outputs]`, out `[rows, outputs]`. The sizes follow from the lengths and `inputs`.
///
/// # Panics
/// If the lengths do not fit.
pub fn gemv_f32(weights: &[f32], inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    gemv_at::<Single>(Level::best(), weights, inputs, x, bias, out);
}

/// [`gemv_f32`] of weights in half precision; sums are `f32`.
///
/// # Panics
/// If the lengths do not fit.
pub fn gemv_f16(weights: &[f16], inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    gemv_at::<Half>(Level::best(), weights.reinterpret_cast(), inputs, x, bias, out);
}

/// [`gemv_f32`] of weights in bfloat16; sums are `f32`.
///
/// # Panics
/// If the lengths do not fit.
pub fn gemv_bf16(weights: &[bf16], inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    gemv_at::<Brain>(Level::best(), weights.reinterpret_cast(), inputs, x, bias, out);
}

/// Checks the shapes of a product; returns rows and outputs.
pub(crate) fn shape(inputs: usize, x: &[f32], bias: Option<&[f32]>, out: &[f32]) -> (usize, usize) {
    assert!(inputs > 0 && !x.is_empty() && x.len().is_multiple_of(inputs), "rows of {inputs} in {}", x.len());
    let rows = x.len() / inputs;
    assert!(out.len().is_multiple_of(rows), "{rows} rows in {} outputs", out.len());
    assert!(bias.is_none_or(|bias| bias.len() == out.len() / rows), "bias of {} outputs", out.len() / rows);
    (rows, out.len() / rows)
}

/// The outputs of some weight rows: a slice for each row of activations.
pub(crate) struct Task<'a> {
    pub first: usize,
    pub out: Vec<&'a mut [f32]>,
}

/// Cuts outputs `[rows, outputs]` into tasks of `count` weight rows.
pub(crate) fn tasks(out: &mut [f32], outputs: usize, count: usize) -> Vec<Task<'_>> {
    let mut tasks: Vec<_> =
        (0..outputs).step_by(count).map(|first| Task { first, out: Vec::with_capacity(MAX_ROWS) }).collect();
    for row in out.chunks_mut(outputs.max(1)) {
        for (task, out) in tasks.iter_mut().zip(row.chunks_mut(count)) {
            task.out.push(out);
        }
    }
    tasks
}

pub(crate) fn gemv_at<T: Format>(
    level: Level,
    weights: &[T::Bits],
    inputs: usize,
    x: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let (rows, outputs) = shape(inputs, x, bias, out);
    assert_eq!(weights.len(), outputs * inputs, "weights of {outputs} x {inputs}");
    match rows {
        1 => gemv_rows::<T, 1>(level, weights, inputs, x, bias, out),
        2 => gemv_rows::<T, 2>(level, weights, inputs, x, bias, out),
        3 => gemv_rows::<T, 3>(level, weights, inputs, x, bias, out),
        4 => gemv_rows::<T, 4>(level, weights, inputs, x, bias, out),
        5 => gemv_rows::<T, 5>(level, weights, inputs, x, bias, out),
        6 => gemv_rows::<T, 6>(level, weights, inputs, x, bias, out),
        7 => gemv_rows::<T, 7>(level, weights, inputs, x, bias, out),
        MAX_ROWS => gemv_rows::<T, MAX_ROWS>(level, weights, inputs, x, bias, out),
        _ => assert!(rows <= MAX_ROWS, "{rows} rows, of {MAX_ROWS} at most"),
    }
}

fn gemv_rows<T: Format, const R: usize>(
    level: Level,
    weights: &[T::Bits],
    inputs: usize,
    x: &[f32],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let mut lanes = vec![[[0.0; LANES]; R]; inputs.div_ceil(LANES)];
    for (r, row) in x.chunks_exact(inputs).enumerate() {
        for (lanes, x) in lanes.iter_mut().zip(row.chunks(LANES)) {
            lanes[r][..x.len()].copy_from_slice(x);
        }
    }
    let count = (TASK_BYTES / (inputs * size_of::<T::Bits>())).max(1);
    for_each(tasks(out, out.len() / R, count), |mut task| {
        let weights = &weights[task.first * inputs..][..task.out[0].len() * inputs];
        level.run(Rows::<T, R> { weights, inputs, x: &lanes, out: &mut task.out });
        if let Some(bias) = bias {
            for out in task.out {
                out.iter_mut().zip(&bias[task.first..]).for_each(|(out, bias)| *out += bias);
            }
        }
    });
}

/// Some weight rows against `R` rows of activations, which lie as `[inputs / LANES, R, LANES]`, 0 beyond the last.
struct Rows<'a, 'b, T: Format, const R: usize> {
    weights: &'a [T::Bits],
    inputs: usize,
    x: &'a [[[f32; LANES]; R]],
    out: &'a mut [&'b mut [f32]],
}

impl<T: Format, const R: usize> Kernel for Rows<'_, '_, T, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (o, row) in self.weights.chunks_exact(self.inputs).enumerate() {
            // As many chains of sums as hide the latency of an addition.
            let sums = match R {
                1 => dot::<S, T, R, 4>(s, row, self.x),
                2 | 3 => dot::<S, T, R, 2>(s, row, self.x),
                _ => dot::<S, T, R, 1>(s, row, self.x),
            };
            for r in 0..R {
                self.out[r][o] = sums[r];
            }
        }
    }
}

/// A weight row against `R` rows, in `U` chains of sums each.
#[inline(always)]
fn dot<S: Simd, T: Format, const R: usize, const U: usize>(s: S, row: &[T::Bits], x: &[[[f32; LANES]; R]]) -> [f32; R] {
    let mut sums = [[s.splat(0.0); R]; U];
    let (blocks, tail) = row.as_chunks::<LANES>();
    let (turns, rest) = blocks.as_chunks::<U>();
    let (x_turns, _) = x.as_chunks::<U>();
    for (weights, x) in turns.iter().zip(x_turns) {
        for u in 0..U {
            let weight = T::load(s, &weights[u]);
            for r in 0..R {
                sums[u][r] = s.fma(weight, s.load(&x[u][r]), sums[u][r]);
            }
        }
    }
    let mut last = [T::Bits::default(); LANES];
    last[..tail.len()].copy_from_slice(tail);
    let tail = if tail.is_empty() { &[][..] } else { core::slice::from_ref(&last) };
    for (weights, x) in rest.iter().chain(tail).zip(&x[turns.len() * U..]) {
        let weight = T::load(s, weights);
        for r in 0..R {
            sums[0][r] = s.fma(weight, s.load(&x[r]), sums[0][r]);
        }
    }
    let mut out = [0.0; R];
    for r in 0..R {
        let mut sum = sums[0][r];
        for u in 1..U {
            sum = s.add(sum, sums[u][r]);
        }
        out[r] = s.sum(sum);
    }
    out
}
