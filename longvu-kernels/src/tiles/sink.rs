//! Where the tiles of a product go, and what becomes of them there.

use super::finish::{Columns, Finish};
use super::{OUTPUTS, Operands, Rows, TASK_OUTPUTS, Target};
use crate::simd::{LANES, Level};
use core::mem::MaybeUninit;
use rayon::prelude::*;

/// What is done to each output of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// [`gelu`](crate::gelu).
    Gelu,
    /// [`gelu_tanh`](crate::gelu_tanh).
    GeluTanh,
}

impl Activation {
    /// Applies it to rows and their bias, neither if there is no activation.
    pub(crate) fn apply(self, x: &mut [f32], bias: Option<&[f32]>) {
        match self {
            Self::None => {}
            Self::Gelu => crate::gelu(x, bias),
            Self::GeluTanh => crate::gelu_tanh(x, bias),
        }
    }
}

/// The outputs of a product.
pub(crate) struct Sink<'a> {
    kind: Kind<'a>,
    level: Level,
    /// `[rows, outputs]`, all of which is written.
    out: &'a mut [MaybeUninit<f32>],
    outputs: usize,
    /// Tiles of a task.
    task_tiles: usize,
}

/// Tiles of a task, by which the threads end at about the same time; what is computed does not depend on it.
fn tiles_of_task(tiles: usize, threads: usize) -> usize {
    const MOST: usize = TASK_OUTPUTS / OUTPUTS;
    // A task costs a quarter of a tile, as activations are read once more.
    let cost = |most: &usize| tiles.div_ceil(*most).div_ceil(threads) * (4 * most + 1);
    (1..=MOST).rev().min_by_key(cost).unwrap_or(MOST)
}

/// What outputs are.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Products with the weights, with a bias and an activation.
    Plain(Option<&'a [f32]>, Activation),
    /// `silu(gate) * up`, with biases, of products with twice as many weights, those of the gate first.
    Gated(Option<[&'a [f32]; 2]>),
}

impl<'a> Sink<'a> {
    /// Rows of so many outputs.
    pub(crate) fn new(level: Level, out: &'a mut [MaybeUninit<f32>], outputs: usize, kind: Kind<'a>) -> Self {
        let mut sink = Self { kind, level, out, outputs, task_tiles: 0 };
        sink.task_tiles = tiles_of_task(outputs.div_ceil(sink.tile_width()), rayon::current_num_threads());
        sink
    }

    /// Columns of the output that a tile writes.
    fn tile_width(&self) -> usize {
        match self.kind {
            Kind::Plain(..) => OUTPUTS,
            Kind::Gated(_) => OUTPUTS / 2,
        }
    }

    /// Columns of the output that a task writes.
    fn task_width(&self) -> usize {
        self.task_tiles * self.tile_width()
    }

    /// The rows of weights that make a task's halves of tiles: whole tiles, of which the last halves may be empty.
    fn halves(&self, task: usize) -> Vec<Rows> {
        let (outputs, gated) = (self.outputs, matches!(self.kind, Kind::Gated(_)));
        let first = task * self.task_width();
        let blocks = (first..outputs.min(first + self.task_width())).step_by(LANES);
        let mut halves = Vec::with_capacity(TASK_OUTPUTS / LANES);
        for first in blocks {
            let count = LANES.min(outputs - first);
            halves.push(Rows { first, count });
            if gated {
                halves.push(Rows { first: outputs + first, count });
            }
        }
        if !halves.len().is_multiple_of(2) {
            halves.push(Rows { first: 0, count: 0 });
        }
        halves
    }
}

/// Multiplies operands that hold `rows` of the activations.
///
/// Sums of a task lie together until they are finished: in the output, rows a power of two apart would push each other out of
/// the cache at every block of inputs. A tile is finished as soon as its last products are added, while it is in the first cache.
pub(crate) fn run<O: Operands>(operands: &O, rows: Rows, sink: &mut Sink<'_>) {
    let outputs = sink.outputs;
    let block = &mut sink.out[rows.first * outputs..][..rows.count * outputs];
    let out = Columns { first: block.as_mut_ptr(), outputs };
    let tiles = operands.tiles(rows.count);
    let sink = &*sink;
    (0..outputs.div_ceil(sink.task_width())).into_par_iter().for_each_init(
        || (operands.panel(), Vec::new()),
        |(panel, sums), number| {
            let task = Task { operands, sink, out: &out, tiles: &tiles, number };
            sums.resize(rows.count * TASK_OUTPUTS, 0.0);
            task.multiply(panel, sums);
        },
    );
}

/// Some rows of activations and up to [`TASK_OUTPUTS`] weights.
struct Task<'a, O> {
    operands: &'a O,
    sink: &'a Sink<'a>,
    out: &'a Columns,
    tiles: &'a [Rows],
    number: usize,
}

impl<O: Operands> Task<'_, O> {
    /// All inputs. What the next block, or the task after, will line up is fetched meanwhile. `sums` have room for
    /// [`TASK_OUTPUTS`] in every row.
    fn multiply(&self, panel: &mut O::Panel, sums: &mut [f32]) {
        let Self { operands, sink, tiles, .. } = *self;
        let [halves, after] = [self.number, self.number + 1].map(|task| sink.halves(task));
        let width = halves.len() * LANES;
        let parts = tiles.len() * halves.len() / 2;
        for input in (0..operands.inputs()).step_by(operands.block_inputs()) {
            operands.pack(&halves, input, panel);
            let next = input + operands.block_inputs();
            let last = next >= operands.inputs();
            let (fetched, next) = if last { (&after, 0) } else { (&halves, next) };
            for (j, &tile) in tiles.iter().enumerate() {
                let sums = &mut sums[tile.first * width..][..tile.count * width];
                for (i, output) in (0..width).step_by(OUTPUTS).enumerate() {
                    operands.prefetch(fetched, next, [j * width / OUTPUTS + i, parts]);
                    let target = Target { first: sums[output..].as_mut_ptr(), stride: width, add: input > 0 };
                    // SAFETY: all of the tile lies in the sums of its rows.
                    unsafe { operands.multiply(panel, output, input, tile, target) };
                }
                if last {
                    for (i, output) in (0..width).step_by(OUTPUTS).enumerate() {
                        self.finish(i, tile, &sums[output..], width);
                    }
                }
            }
        }
    }

    /// Writes the outputs of the task's `i`th tile of some rows, whose sums are `stride` apart.
    fn finish(&self, i: usize, rows: Rows, sums: &[f32], stride: usize) {
        let Self { sink, out, .. } = *self;
        let most = sink.tile_width();
        let first = self.number * sink.task_width() + i * most;
        let columns = Rows { first, count: most.min(sink.outputs - first) };
        sink.level.run(Finish { kind: sink.kind, sums, stride, rows, columns, out });
    }
}
