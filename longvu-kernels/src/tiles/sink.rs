//! Where the tiles of a product go, and what becomes of them there.

use super::{OUTPUTS, Rows, TASK_OUTPUTS};
use crate::simd::{LANES, Level};
use core::mem::MaybeUninit;

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
    pub(super) kind: Kind<'a>,
    pub(super) level: Level,
    /// `[rows, outputs]`, all of which is written.
    pub(super) out: &'a mut [MaybeUninit<f32>],
    pub(super) outputs: usize,
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
    pub(super) fn tile_width(&self) -> usize {
        match self.kind {
            Kind::Plain(..) => OUTPUTS,
            Kind::Gated(_) => OUTPUTS / 2,
        }
    }

    /// Columns of the output that a task writes.
    pub(super) fn task_width(&self) -> usize {
        self.task_tiles * self.tile_width()
    }

    /// The rows of weights that make a task's halves of tiles: whole tiles, of which the last halves may be empty.
    pub(super) fn halves(&self, task: usize) -> Vec<Rows> {
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
