//! Where the tiles of a product go, and what becomes of them there.

use super::{AMX_ROWS, OUTPUTS, Operands, Rows, TASK_OUTPUTS, Target};
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
pub(crate) fn run<O: Operands>(operands: &O, rows: Rows, sink: &mut Sink<'_>) {
    let outputs = sink.outputs;
    let block = &mut sink.out[rows.first * outputs..][..rows.count * outputs];
    let out = Columns { first: block.as_mut_ptr(), outputs };
    let tiles = operands.tiles(rows.count);
    let sink = &*sink;
    (0..outputs.div_ceil(sink.task_width())).into_par_iter().for_each_init(
        || (operands.panel(), Vec::new()),
        |(panel, sums), task| {
            let halves = sink.halves(task);
            let first = task * sink.task_width();
            let count = sink.task_width().min(outputs - first);
            match sink.kind {
                Kind::Plain(bias, activation) => {
                    // SAFETY: the rows and the task's outputs lie in the output, and are this task's alone.
                    let region = unsafe { Region::new(out.first.add(first), outputs, count) };
                    multiply(operands, panel, &halves, &tiles, &region);
                    let bias = bias.map(|bias| &bias[first..first + count]);
                    for row in 0..rows.count {
                        // SAFETY: as above; the region is not used any more.
                        finish(sink.level, unsafe { out.row(row, first, count) }, bias, activation);
                    }
                }
                Kind::Gated(biases) => {
                    let width = halves.len() * LANES;
                    sums.resize(rows.count * width, 0.0);
                    // SAFETY: the memory is this thread's.
                    let region = unsafe { Region::new(sums.as_mut_ptr(), width, width) };
                    multiply(operands, panel, &halves, &tiles, &region);
                    let biases = biases.map(|biases| biases.map(|bias| &bias[first..first + count]));
                    for (row, sums) in sums.chunks_exact(width).enumerate() {
                        // SAFETY: the row's part is this task's alone.
                        let out = unsafe { out.row(row, first, count) };
                        sink.level.run(GatedVectors { fused: sums, biases, out });
                    }
                }
            }
        },
    );
}

/// A bias and an activation.
fn finish(level: Level, row: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    match (activation, bias) {
        (Activation::None, None) => {}
        (Activation::None, Some(delta)) => level.run(AddRow { row, delta, scale: None }),
        (Activation::Gelu, bias) => level.run(Apply { op: Gelu, x: row, bias }),
        (Activation::GeluTanh, bias) => level.run(Apply { op: GeluTanh, x: row, bias }),
    }
}

/// Where a task's sums go: rows of `width` elements, `stride` apart.
struct Region {
    first: *mut f32,
    stride: usize,
    width: usize,
}

impl Region {
    /// # Safety
    /// Every row that is multiplied is valid, and nobody else's.
    unsafe fn new(first: *mut f32, stride: usize, width: usize) -> Self {
        Self { first, stride, width }
    }
}

/// All inputs of a task.
fn multiply<O: Operands>(operands: &O, panel: &mut O::Panel, halves: &[Rows], tiles: &[Rows], region: &Region) {
    for input in (0..operands.inputs()).step_by(operands.block_inputs()) {
        operands.pack(halves, input, panel);
        for output in (0..region.width).step_by(OUTPUTS) {
            for &tile in tiles {
                multiply_tile(operands, panel, [output, input], tile, region);
            }
        }
    }
}

/// One tile; of outputs that are too few for a whole one, by way of a buffer.
fn multiply_tile<O: Operands>(
    operands: &O,
    panel: &O::Panel,
    [output, input]: [usize; 2],
    rows: Rows,
    region: &Region,
) {
    let (add, width) = (input > 0, OUTPUTS.min(region.width - output));
    let row = |r: usize| region.first.wrapping_add((rows.first + r) * region.stride + output);
    if width == OUTPUTS {
        let target = Target { first: row(0), stride: region.stride, add };
        // SAFETY: a whole tile lies in the region.
        unsafe { operands.multiply(panel, output, input, rows, target) };
        return;
    }
    let mut buffer = [[0.0; OUTPUTS]; AMX_ROWS];
    if add {
        for r in 0..rows.count {
            // SAFETY: the rows of a region are valid.
            unsafe { row(r).copy_to_nonoverlapping(buffer[r].as_mut_ptr(), width) };
        }
    }
    let target = Target { first: buffer.as_mut_ptr().cast(), stride: OUTPUTS, add };
    // SAFETY: the buffer has room for every tile.
    unsafe { operands.multiply(panel, output, input, rows, target) };
    for r in 0..rows.count {
        // SAFETY: the rows of a region are valid.
        unsafe { row(r).copy_from_nonoverlapping(buffer[r].as_ptr(), width) };
    }
}
