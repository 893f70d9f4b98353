//! Products of a weight matrix and a few rows: the weights are read once, by all threads.

use crate::simd::{Aligned, Kernel, LANES, Level, Simd, Tile};
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

/// Checks the shapes of a product with so many elements; returns rows and outputs.
pub(crate) fn shape(inputs: usize, x: &[f32], bias: Option<&[f32]>, out: usize) -> (usize, usize) {
    assert!(inputs > 0 && !x.is_empty() && x.len().is_multiple_of(inputs), "rows of {inputs} in {}", x.len());
    let rows = x.len() / inputs;
    assert!(out.is_multiple_of(rows), "{rows} rows in {} outputs", out);
    assert!(bias.is_none_or(|bias| bias.len() == out / rows), "bias of {} outputs", out / rows);
    (rows, out / rows)
}

/// The outputs of some weight rows: a slice for each row of activations.
pub(crate) struct Task<'a> {
    pub first: usize,
    pub out: Vec<&'a mut [f32]>,
}

impl Task<'_> {
    /// Adds the bias of the task's outputs.
    pub(crate) fn add(self, bias: Option<&[f32]>) {
        let Some(bias) = bias else { return };
        for out in self.out {
            out.iter_mut().zip(&bias[self.first..]).for_each(|(out, bias)| *out += bias);
        }
    }
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
    let (rows, outputs) = shape(inputs, x, bias, out.len());
    assert_eq!(weights.len(), outputs * inputs, "weights of {outputs} x {inputs}");
    assert!(rows <= MAX_ROWS, "{rows} rows, of {MAX_ROWS} at most");
    let x = Lined::new(x, inputs);
    // Rows that are longer than a task's share are taken four at a time all the same.
    let count = (TASK_BYTES / (inputs * size_of::<T::Bits>())).max(1).next_multiple_of(4);
    for_each(tasks(out, outputs, count), |mut task| {
        let weights = &weights[task.first * inputs..][..task.out[0].len() * inputs];
        level.run(Rows::<T> { weights, inputs, x: &x, out: &mut task.out });
        task.add(bias);
    });
}

/// Activations as `[inputs / LANES, rows, LANES]`, 0 beyond the last input, for up to four rows at a time: the order in
/// which they are read.
struct Lined(Vec<Lines>);

/// A vector of each of `R` rows.
type Line<const R: usize> = Aligned<[[f32; LANES]; R]>;

/// The lines of one to four rows.
enum Lines {
    One(Vec<Line<1>>),
    Two(Vec<Line<2>>),
    Three(Vec<Line<3>>),
    Four(Vec<Line<4>>),
}

impl Lined {
    fn new(x: &[f32], inputs: usize) -> Self {
        let lines = x.chunks(4 * inputs).map(|x| match x.len() / inputs {
            1 => Lines::One(line_up(x, inputs)),
            2 => Lines::Two(line_up(x, inputs)),
            3 => Lines::Three(line_up(x, inputs)),
            _ => Lines::Four(line_up(x, inputs)),
        });
        Self(lines.collect())
    }
}

fn line_up<const R: usize>(x: &[f32], inputs: usize) -> Vec<Line<R>> {
    let mut lines = vec![Aligned([[0.0; LANES]; R]); inputs.div_ceil(LANES)];
    for (r, row) in x.chunks_exact(inputs).enumerate() {
        for (line, x) in lines.iter_mut().zip(row.chunks(LANES)) {
            line.0[r][..x.len()].copy_from_slice(x);
        }
    }
    lines
}

/// Some weight rows against all activations.
struct Rows<'a, 'b, T: Format> {
    weights: &'a [T::Bits],
    inputs: usize,
    x: &'a Lined,
    out: &'a mut [&'b mut [f32]],
}

impl<T: Format> Kernel for Rows<'_, '_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for pass in 0..self.x.0.len() {
            match &self.x.0[pass] {
                Lines::One(x) => self.pass::<S, 1>(s, pass, x),
                Lines::Two(x) => self.pass::<S, 2>(s, pass, x),
                Lines::Three(x) => self.pass::<S, 3>(s, pass, x),
                Lines::Four(x) => self.pass::<S, 4>(s, pass, x),
            }
        }
    }
}

impl<T: Format> Rows<'_, '_, T> {
    /// All weight rows against `R` rows of activations, by as many inputs as leave the activations in a near cache.
    #[inline(always)]
    fn pass<S: Simd, const R: usize>(&mut self, s: S, pass: usize, x: &[Line<R>]) {
        let outs = &mut self.out[4 * pass..][..R];
        outs.iter_mut().for_each(|out| out.fill(0.0));
        let lines = S::NEAR / size_of::<[f32; LANES]>();
        for (i, x) in x.chunks(lines).enumerate() {
            let first = i * lines * LANES;
            let end = self.inputs.min(first + lines * LANES);
            let ahead = if self.inputs > lines * LANES { self.inputs * size_of::<T::Bits>() } else { 0 };
            let rows = Part { weights: self.weights, inputs: self.inputs, first, end, ahead };
            for o in (0..outs[0].len()).step_by(4) {
                rows.add::<S, T, R>(s, o, x, outs);
            }
        }
    }
}

/// Some inputs of weight rows.
struct Part<'a, B> {
    weights: &'a [B],
    inputs: usize,
    first: usize,
    end: usize,
    /// Bytes from what is read to what is to be fetched: the next row; 0 where memory is read in order.
    ahead: usize,
}

impl<B> Part<'_, B> {
    /// Adds the products of up to four weight rows from `o`, as many at once as there are registers for sums.
    #[inline(always)]
    fn add<S: Simd, T: Format<Bits = B>, const R: usize>(
        &self,
        s: S,
        o: usize,
        x: &[Line<R>],
        outs: &mut [&mut [f32]],
    ) {
        // Of 16-bit weights that are read in order one row at a time is faster with AVX2 (Zen 3: 16 GB/s a thread against
        // 13), and four are with AVX-512 (Sapphire Rapids).
        let wide = S::TILE == Tile::Rows8Vectors2;
        let at_once = match R {
            1 if size_of::<B>() < 4 && self.ahead == 0 && !wide => 1,
            1 => 4,
            _ if wide => 4,
            _ => 2,
        };
        let end = outs[0].len().min(o + 4);
        for o in (o..end).step_by(at_once) {
            let count = (end - o).min(at_once);
            // A missing row is the first once more.
            let row = |i: usize| {
                let start = (o + if i < count { i } else { 0 }) * self.inputs;
                &self.weights[start + self.first..start + self.end]
            };
            let mut sums = [[0.0; R]; 4];
            if at_once == 1 {
                [sums[0]] = dot::<S, T, R, 1>(s, [row(0)], x, self.ahead * at_once);
            } else if at_once == 4 && count > 2 {
                sums = dot::<S, T, R, 4>(s, [row(0), row(1), row(2), row(3)], x, self.ahead * at_once);
            } else {
                [sums[0], sums[1]] = dot::<S, T, R, 2>(s, [row(0), row(1)], x, self.ahead * at_once);
            }
            for (o, sums) in (o..).zip(&sums[..count]) {
                for r in 0..R {
                    outs[r][o] += sums[r];
                }
            }
        }
    }
}

/// `O` weight rows against `R` rows.
#[inline(always)]
fn dot<S: Simd, T: Format, const R: usize, const O: usize>(
    s: S,
    rows: [&[T::Bits]; O],
    x: &[Line<R>],
    ahead: usize,
) -> [[f32; R]; O] {
    let mut sums = [[s.splat(0.0); R]; O];
    let whole = rows[0].len() / LANES;
    let mut blocks = [&[][..]; O];
    for o in 0..O {
        blocks[o] = &rows[o].as_chunks::<LANES>().0[..whole];
    }
    for (i, x) in x[..whole].iter().enumerate() {
        for o in 0..O {
            // SAFETY: each of the slices was cut to `whole` blocks.
            let block = unsafe { blocks[o].get_unchecked(i) };
            if ahead > 0 {
                s.prefetch(block, ahead);
            }
            let weight = T::load(s, block);
            for r in 0..R {
                sums[o][r] = s.fma(weight, s.load(&x.0[r]), sums[o][r]);
            }
        }
    }
    let mut out = [[0.0; R]; O];
    for o in 0..O {
        let tail = rows[o].as_chunks::<LANES>().1;
        let mut last = [T::Bits::default(); LANES];
        last[..tail.len()].copy_from_slice(tail);
        for r in 0..R {
            if let Some(x) = x.get(whole) {
                sums[o][r] = s.fma(T::load(s, &last), s.load(&x.0[r]), sums[o][r]);
            }
            out[o][r] = s.sum(sums[o][r]);
        }
    }
    out
}
