//! Products cut into tasks.

use super::finish::{Columns, Finish};
use super::{OUTPUTS, Operands, Rows, Sink, TASK_OUTPUTS, Target};
use crate::simd::LANES;
use rayon::prelude::*;

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
                    if last {
                        self.out.prefetch(tile, self.columns(i));
                    }
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
        sink.level.run(Finish { kind: sink.kind, sums, stride, rows, columns: self.columns(i), out });
    }

    /// Columns of the output that the task's `i`th tile writes.
    fn columns(&self, i: usize) -> Rows {
        let most = self.sink.tile_width();
        let first = self.number * self.sink.task_width() + i * most;
        Rows { first, count: most.min(self.sink.outputs - first) }
    }
}
