//! Products of many rows of activations with weights as they are stored, in the arithmetic that the machine is best at.
//!
//! `out = x · weightsᵀ` is cut into tiles of some rows and [`OUTPUTS`] outputs, whose sums are registers. Activations are
//! converted and lined up once for all weights. A task takes [`TASK_OUTPUTS`] outputs: of a block of inputs it lines up
//! the weights, which the nearest caches then hold while all rows pass by. Weights are lined up in every call: next to
//! hundreds of rows that costs a percent or two, weights stay where they are stored, in a mapped file perhaps, and there
//! is no second copy of them.
//!
//! Every sum has one order, which depends neither on threads nor on the other rows.

pub(crate) mod amx;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod dense;
#[cfg(target_arch = "x86_64")]
pub(crate) mod integers;
pub(crate) mod lines;
pub(crate) mod words;

#[cfg(target_arch = "x86_64")]
use avx2::F32_ROWS;
#[cfg(not(target_arch = "x86_64"))]
const F32_ROWS: usize = 1;

use crate::amx::Amx;
use crate::isa::Isa;
use crate::simd::{LANES, Level};
use dense::{Format, multiply};
use rayon::prelude::*;
use words::{Elements, Pairs, Rounded, Single, Widened};

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

/// `out = x · weightsᵀ` in tiles, if the instructions have any; whether they do. x `[rows, inputs]`, out `[rows, outputs]`.
/// Activations meet weights in bfloat16 as such where there are instructions for it ([`Isa::bf16_products`]). Finished parts
/// of rows are given to `finish`, with their first output.
pub(crate) fn multiply_dense(
    isa: Isa,
    weights: Weights<'_>,
    inputs: usize,
    x: &[f32],
    out: &mut [f32],
    finish: impl Fn(usize, &mut [f32]) + Sync,
) -> bool {
    let bf16 = matches!(weights, Weights::Bf16(_));
    let Some(format) = (if bf16 { Format::of_bf16(isa) } else { Format::of_f32(isa) }) else { return false };
    let shape = [x.len() / inputs, inputs];
    let part = |rows: Rows| Elements::new(&x[rows.first * inputs..][..rows.count * inputs], inputs);
    let (single, rounded) = (|rows| Single(part(rows)), |rows| Rounded(part(rows)));
    match (weights, amx_of(isa)) {
        (Weights::Bf16(bits), Some(tiles)) => {
            amx::multiply(tiles, shape, Pairs(Elements::new(bits, inputs)), rounded, out, finish);
        }
        (Weights::F32(weights), _) => {
            multiply((isa, format), shape, Single(Elements::new(weights, inputs)), single, out, finish);
        }
        (Weights::F16(bits), _) => {
            multiply((isa, format), shape, Widened::<true>(Elements::new(bits, inputs)), single, out, finish);
        }
        (Weights::Bf16(bits), None) if format == Format::Bf16 => {
            multiply((isa, format), shape, Pairs(Elements::new(bits, inputs)), rounded, out, finish);
        }
        (Weights::Bf16(bits), _) => {
            multiply((isa, format), shape, Widened::<false>(Elements::new(bits, inputs)), single, out, finish);
        }
    }
    true
}

/// Outputs of a tile.
pub(crate) const OUTPUTS: usize = 2 * LANES;

/// Outputs of a task.
pub(crate) const TASK_OUTPUTS: usize = 4 * OUTPUTS;

/// The most rows of a tile in registers.
pub(crate) const MAX_TILE_ROWS: usize = 14;

/// The most rows of any tile.
const AMX_ROWS: usize = crate::amx::MAX_ROWS;

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
    /// Lines up the weights of up to [`TASK_OUTPUTS`] outputs and of the block of inputs from `input`.
    fn pack(&self, first: usize, outputs: usize, input: usize, panel: &mut Self::Panel);
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

/// The output `[rows, outputs]`, of which tasks write different columns.
struct Output {
    first: *mut f32,
    outputs: usize,
}

// SAFETY: tasks write disjoint elements, as `run` sees to.
unsafe impl Sync for Output {}

impl Output {
    /// # Safety
    /// The row is one of the output's, `count` elements from `first` lie in it, and nothing else refers to them.
    unsafe fn row<'a>(&self, row: usize, first: usize, count: usize) -> &'a mut [f32] {
        // SAFETY: as the caller promises.
        unsafe { core::slice::from_raw_parts_mut(self.first.add(row * self.outputs + first), count) }
    }
}

/// `out = x · weightsᵀ` for operands that hold rows of `x`; out `[rows, outputs]`. Finished parts of rows are given to
/// `finish`, with the first output.
pub(crate) fn run<O: Operands>(operands: &O, rows: usize, out: &mut [f32], finish: impl Fn(usize, &mut [f32]) + Sync) {
    let outputs = out.len() / rows.max(1);
    let out = Output { first: out.as_mut_ptr(), outputs };
    let tiles = operands.tiles(rows);
    let tasks = outputs.div_ceil(TASK_OUTPUTS);
    (0..tasks).into_par_iter().for_each_init(
        || operands.panel(),
        |panel, task| {
            let first = task * TASK_OUTPUTS;
            let count = TASK_OUTPUTS.min(outputs - first);
            for input in (0..operands.inputs()).step_by(operands.block_inputs()) {
                operands.pack(first, count, input, panel);
                for output in (0..count).step_by(OUTPUTS) {
                    let width = OUTPUTS.min(count - output);
                    for &tile in &tiles {
                        // SAFETY: the tile's rows and the task's outputs lie in the output, and are this task's alone.
                        unsafe { tile_of(operands, panel, output, input, tile, &out, first, width) };
                    }
                }
            }
            for row in 0..rows {
                // SAFETY: as above.
                finish(first, unsafe { out.row(row, first, count) });
            }
        },
    );
}

/// One tile; of outputs that are too few for a whole one, by way of a buffer.
///
/// # Safety
/// Rows and outputs are the output's, and nothing else refers to them.
#[expect(clippy::too_many_arguments, reason = "a tile has this many coordinates")]
unsafe fn tile_of<O: Operands>(
    operands: &O,
    panel: &O::Panel,
    output: usize,
    input: usize,
    rows: Rows,
    out: &Output,
    first: usize,
    width: usize,
) {
    let add = input > 0;
    if width == OUTPUTS {
        // SAFETY: a whole tile lies in the output.
        unsafe {
            let target = out.first.add(rows.first * out.outputs + first + output);
            operands.multiply(panel, output, input, rows, Target { first: target, stride: out.outputs, add });
        }
        return;
    }
    let mut buffer = [[0.0; OUTPUTS]; AMX_ROWS];
    for r in 0..rows.count {
        // SAFETY: as the caller promises.
        let row = unsafe { out.row(rows.first + r, first + output, width) };
        if add {
            buffer[r][..width].copy_from_slice(row);
        }
    }
    let target = Target { first: buffer.as_mut_ptr().cast(), stride: OUTPUTS, add };
    // SAFETY: the buffer has room for every tile.
    unsafe { operands.multiply(panel, output, input, rows, target) };
    for r in 0..rows.count {
        // SAFETY: as the caller promises.
        unsafe { out.row(rows.first + r, first + output, width) }.copy_from_slice(&buffer[r][..width]);
    }
}
