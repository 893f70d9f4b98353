//! Products of many rows of activations with weights as they are stored, in the arithmetic that the machine is best at.
//!
//! `out = x · weightsᵀ` is cut into tiles of some rows and [`OUTPUTS`] outputs, whose sums are registers. Activations are
//! converted and lined up once for all weights. A task takes up to [`TASK_OUTPUTS`] outputs: of a block of inputs it lines up
//! the weights, which the nearest caches then hold while all rows pass by. Weights are lined up in every call: next to
//! hundreds of rows that costs a percent or two, weights stay where they are stored, in a mapped file perhaps, and there
//! is no second copy of them.
//!
//! Every sum has one order, which depends neither on threads nor on the other rows. What is done to outputs, a bias or an
//! activation, is done while they are still in the cache.

pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod dense;
mod finish;
#[cfg(target_arch = "x86_64")]
pub(crate) mod integers;
pub(crate) mod lines;
mod sink;
mod spare;
mod task;
pub(crate) mod words;

#[cfg(target_arch = "x86_64")]
use avx2::F32_ROWS;
#[cfg(not(target_arch = "x86_64"))]
const F32_ROWS: usize = 1;

use crate::amx::Amx;
use crate::isa::Isa;
use crate::simd::{LANES, Level};
use dense::{Format, multiply};
pub use sink::Activation;
pub(crate) use sink::{Kind, Sink};
pub(crate) use task::run;
use words::{Both, Elements, Pairs, Rounded, Single, Widened};

/// Weights `[outputs, inputs]` in floating point; of 16 bits as bits.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a> {
    F32(&'a [f32]),
    F16(&'a [u16]),
    Bf16(&'a [u16]),
}

/// AMX, where it is used, and the level beside it.
pub(crate) fn amx_of(isa: Isa) -> Option<(Amx, Level)> {
    if isa >= Isa::Amx { Some((Amx::detect()?, Level::of(isa))) } else { None }
}

/// `out = x · weightsᵀ` in tiles, if the instructions have any; whether they do. x `[rows, inputs]`; weights of one type, the
/// second's outputs after the first's. Activations meet weights in bfloat16 as such where there are instructions for it
/// ([`Isa::bf16_products`]).
pub(crate) fn multiply_dense(isa: Isa, weights: &[Weights<'_>], inputs: usize, x: &[f32], sink: &mut Sink<'_>) -> bool {
    assert!(isa.is_present(), "{isa}");
    let shape = [x.len() / inputs, inputs];
    let rounded = |rows| Rounded(elements_of(x, inputs, rows));
    match (&weights[0], amx_of(isa)) {
        (Weights::F32(_), _) => multiply_single(isa, both(weights, Weights::floats, inputs, Single), inputs, x, sink),
        (Weights::F16(_), _) => {
            multiply_single(isa, both(weights, Weights::bits, inputs, Widened::<true>), inputs, x, sink)
        }
        (Weights::Bf16(_), Some(tiles)) => {
            amx::multiply(tiles, shape, both(weights, Weights::bits, inputs, Pairs), rounded, sink);
            true
        }
        (Weights::Bf16(_), None) if isa.bf16_products().is_some() => {
            multiply((isa, Format::Bf16), shape, both(weights, Weights::bits, inputs, Pairs), rounded, sink);
            true
        }
        (Weights::Bf16(_), None) => {
            multiply_single(isa, both(weights, Weights::bits, inputs, Widened::<false>), inputs, x, sink)
        }
    }
}

/// Some rows of `x`.
pub(crate) fn elements_of(x: &[f32], inputs: usize, rows: Rows) -> Elements<'_, f32> {
    Elements::new(&x[rows.first * inputs..][..rows.count * inputs], inputs)
}

/// `out = x · weightsᵀ` in tiles of `f32`, if the instructions have any; whether they do.
pub(crate) fn multiply_single<W: lines::Words + Sync>(
    isa: Isa,
    weights: W,
    inputs: usize,
    x: &[f32],
    sink: &mut Sink<'_>,
) -> bool {
    let Some(format) = Format::of_f32(isa) else { return false };
    let single = |rows| Single(elements_of(x, inputs, rows));
    multiply((isa, format), [x.len() / inputs, inputs], weights, single, sink);
    true
}

/// The rows of one or two matrices as words.
fn both<'a, T: Copy + Default + 'a, W>(
    weights: &[Weights<'a>],
    elements: impl Fn(&Weights<'a>) -> &'a [T],
    inputs: usize,
    words: impl Fn(Elements<'a, T>) -> W,
) -> Both<W> {
    let matrix = |i: usize| words(Elements::new(elements(&weights[i]), inputs));
    Both { matrices: [matrix(0), matrix(weights.len() - 1)], first: elements(&weights[0]).len() / inputs }
}

impl<'a> Weights<'a> {
    fn floats(&self) -> &'a [f32] {
        match self {
            Self::F32(floats) => floats,
            _ => &[],
        }
    }

    fn bits(&self) -> &'a [u16] {
        match self {
            Self::F16(bits) | Self::Bf16(bits) => bits,
            Self::F32(_) => &[],
        }
    }
}

/// Outputs of a tile.
pub(crate) const OUTPUTS: usize = 2 * LANES;

/// The most outputs of a task.
pub(crate) const TASK_OUTPUTS: usize = 4 * OUTPUTS;

/// Words of a block of inputs, whole groups of quantised weights: the weights of a tile take 32 KB.
pub(crate) const WORDS: usize = 256;

/// The most rows of a tile in registers.
pub(crate) const MAX_TILE_ROWS: usize = 14;

/// Rows that pass by the weights of a task before these are lined up again, of so many bytes a row once converted: what is
/// in memory a second time is bounded.
pub(crate) fn block_rows(row_bytes: usize) -> usize {
    const BYTES: usize = 24 << 20;
    (BYTES / row_bytes.max(1) / MAX_TILE_ROWS).clamp(16, 80) * MAX_TILE_ROWS
}

/// Neighbouring rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Rows {
    /// Cuts `rows` into parts of `most`, but for the last.
    pub(crate) fn whole(rows: usize, most: usize) -> impl Iterator<Item = Self> {
        (0..rows).step_by(most).map(move |first| Self { first, count: most.min(rows - first) })
    }

    /// Cuts `rows` into as few parts of `most` as will do, whose sizes differ by one at most.
    pub(crate) fn split(rows: usize, most: usize) -> impl Iterator<Item = Self> {
        let parts = rows.div_ceil(most);
        let (each, more) = (rows / parts.max(1), rows % parts.max(1));
        (0..parts).map(move |i| Self { first: i * each + i.min(more), count: each + usize::from(i < more) })
    }
}

/// Activations of some rows, lined up, and weights that they are multiplied with.
pub(crate) trait Operands: Sync {
    /// Weights of a task and a block of inputs, lined up.
    type Panel;

    /// Inputs in all.
    fn inputs(&self) -> usize;
    /// Inputs of a block.
    fn block_inputs(&self) -> usize;
    /// Cuts rows into tiles.
    fn tiles(&self, rows: usize) -> Vec<Rows>;
    /// Room for weights.
    fn panel(&self) -> Self::Panel;
    /// Lines up the weights of a task's halves of tiles, each of up to [`LANES`] rows, and of the block of inputs from `input`.
    fn pack(&self, halves: &[Rows], input: usize, panel: &mut Self::Panel);
    /// Asks for a part, of so many, of what [`Operands::pack`] will read.
    fn prefetch(&self, halves: &[Rows], input: usize, part: [usize; 2]);
    /// Writes, or adds, the products of a tile of rows and the panel's outputs from `output` on.
    ///
    /// # Safety
    /// `out` is valid for [`OUTPUTS`] elements in each of `rows.count` rows, `stride` apart.
    unsafe fn multiply(&self, panel: &Self::Panel, output: usize, input: usize, rows: Rows, out: Target);
}

/// Where a tile is written.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) first: *mut f32,
    pub(crate) stride: usize,
    /// Whether it is added to what is there.
    pub(crate) add: bool,
}
