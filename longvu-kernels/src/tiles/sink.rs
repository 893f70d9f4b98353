//! Where the tiles of a product go, and what becomes of them there.

use super::{OUTPUTS, Operands, Rows, TASK_OUTPUTS, Target};
use crate::activation::{Apply, GatedVectors, Gelu, GeluTanh};
use crate::elementwise::AddRow;
use crate::simd::{LANES, Level};
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
    /// `[rows, outputs]`.
    out: &'a mut [f32],
    outputs: usize,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    /// The outputs with a bias and an activation.
    Plain(Option<&'a [f32]>, Activation),
    /// `silu(gate) * up`, of as many outputs of each, with biases.
    Gated(Option<[&'a [f32]; 2]>),
}

impl<'a> Sink<'a> {
    /// Outputs `[rows, outputs]` with a bias and an activation.
    pub(crate) fn plain(
        level: Level,
        out: &'a mut [f32],
        outputs: usize,
        bias: Option<&'a [f32]>,
        activation: Activation,
    ) -> Self {
        Self { kind: Kind::Plain(bias, activation), level, out, outputs }
    }

    /// `silu(gate) * up` `[rows, inner]` of products with `2 * inner` weights, those of the gate first.
    pub(crate) fn gated(level: Level, out: &'a mut [f32], inner: usize, biases: Option<[&'a [f32]; 2]>) -> Self {
        Self { kind: Kind::Gated(biases), level, out, outputs: inner }
    }

    /// Columns of the output that a task writes.
    fn task_width(&self) -> usize {
        match self.kind {
            Kind::Plain(..) => TASK_OUTPUTS,
            Kind::Gated(_) => TASK_OUTPUTS / 2,
        }
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

/// Some rows of an output, of which tasks write different columns.
struct Columns {
    first: *mut f32,
    outputs: usize,
}

// SAFETY: tasks write disjoint elements, as `run` sees to.
unsafe impl Sync for Columns {}

impl Columns {
    /// # Safety
    /// The row is one of the output's, `count` elements from `first` lie in it, and nothing else refers to them.
    unsafe fn row<'a>(&self, row: usize, first: usize, count: usize) -> &'a mut [f32] {
        // SAFETY: as the caller promises.
        unsafe { core::slice::from_raw_parts_mut(self.first.add(row * self.outputs + first), count) }
    }
}

/// Multiplies operands that hold `rows` of the activations.
///
/// Sums of a task lie together until they are finished: in the output, rows a power of two apart would push each other out of
/// the cache at every block of inputs.
pub(crate) fn run<O: Operands>(operands: &O, rows: Rows, sink: &mut Sink<'_>) {
    let outputs = sink.outputs;
    let block = &mut sink.out[rows.first * outputs..][..rows.count * outputs];
    let out = Columns { first: block.as_mut_ptr(), outputs };
    let tiles = operands.tiles(rows.count);
    let sink = &*sink;
    (0..outputs.div_ceil(sink.task_width())).into_par_iter().for_each_init(
        || (operands.panel(), Vec::new()),
        |(panel, sums), task| {
            let halves = [sink.halves(task), sink.halves(task + 1)];
            let width = halves[0].len() * LANES;
            sums.resize(rows.count * width, 0.0);
            multiply(operands, panel, [&halves[0], &halves[1]], &tiles, sums);
            let first = task * sink.task_width();
            let count = sink.task_width().min(outputs - first);
            for (row, sums) in sums.chunks_exact(width).enumerate() {
                // SAFETY: the row is one of the output's, and its part is this task's alone.
                sink.finish(first, sums, unsafe { out.row(row, first, count) });
            }
        },
    );
}

impl Sink<'_> {
    /// A task's part of a row, from the output `first` on, from its sums.
    fn finish(&self, first: usize, sums: &[f32], out: &mut [f32]) {
        let part = first..first + out.len();
        match self.kind {
            Kind::Plain(bias, activation) => {
                out.copy_from_slice(&sums[..out.len()]);
                let bias = bias.map(|bias| &bias[part]);
                match (activation, bias) {
                    (Activation::None, None) => {}
                    (Activation::None, Some(delta)) => self.level.run(AddRow { row: out, delta, scale: None }),
                    (Activation::Gelu, bias) => self.level.run(Apply { op: Gelu, x: out, bias }),
                    (Activation::GeluTanh, bias) => self.level.run(Apply { op: GeluTanh, x: out, bias }),
                }
            }
            Kind::Gated(biases) => {
                let biases = biases.map(|biases| biases.map(|bias| &bias[part.clone()]));
                self.level.run(GatedVectors { fused: sums, biases, out });
            }
        }
    }
}

/// All inputs of a task: sums `[rows, outputs]` of whole tiles. What the next block, or the task after, will line up is
/// fetched meanwhile.
fn multiply<O: Operands>(
    operands: &O,
    panel: &mut O::Panel,
    [halves, after]: [&[Rows]; 2],
    tiles: &[Rows],
    sums: &mut [f32],
) {
    let width = halves.len() * LANES;
    let parts = tiles.len() * halves.len() / 2;
    for input in (0..operands.inputs()).step_by(operands.block_inputs()) {
        operands.pack(halves, input, panel);
        let next = input + operands.block_inputs();
        let (fetched, next) = if next < operands.inputs() { (halves, next) } else { (after, 0) };
        for (i, output) in (0..width).step_by(OUTPUTS).enumerate() {
            for (j, &tile) in tiles.iter().enumerate() {
                operands.prefetch(fetched, next, [i * tiles.len() + j, parts]);
                let sums = &mut sums[tile.first * width..][..tile.count * width];
                let target = Target { first: sums[output..].as_mut_ptr(), stride: width, add: input > 0 };
                // SAFETY: all of the tile lies in the sums of its rows.
                unsafe { operands.multiply(panel, output, input, tile, target) };
            }
        }
    }
}
