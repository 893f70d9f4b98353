//! What becomes of the sums of a tile.

use super::lines::prefetch;
use super::sink::{Activation, Kind};
use super::{OUTPUTS, Rows};
use crate::math;
use crate::simd::{Kernel, LANES, Simd};
use core::mem::MaybeUninit;

/// Some rows of an output, of which tasks write different columns.
pub(super) struct Columns {
    pub(super) first: *mut MaybeUninit<f32>,
    pub(super) outputs: usize,
}

// SAFETY: tasks write disjoint elements, as `run` sees to.
unsafe impl Sync for Columns {}

impl Columns {
    /// # Safety
    /// The row is one of the output's, `columns` lie in it, and nothing else refers to them.
    unsafe fn row<'a>(&self, row: usize, columns: Rows) -> &'a mut [MaybeUninit<f32>] {
        // SAFETY: as the caller promises.
        unsafe { core::slice::from_raw_parts_mut(self.first.add(row * self.outputs + columns.first), columns.count) }
    }

    /// Asks for what a tile will write.
    pub(super) fn prefetch(&self, rows: Rows, columns: Rows) {
        for row in rows.first..rows.first + rows.count {
            let first = self.first.wrapping_add(row * self.outputs + columns.first);
            for column in (0..columns.count).step_by(LANES) {
                prefetch::<true, _>(first.wrapping_add(column));
            }
        }
    }
}

/// Turns the sums of a tile into outputs.
pub(super) struct Finish<'a> {
    pub(super) kind: Kind<'a>,
    /// [`OUTPUTS`] in each row.
    pub(super) sums: &'a [f32],
    /// Elements from a row of sums to the next.
    pub(super) stride: usize,
    /// The tile's rows of the output.
    pub(super) rows: Rows,
    /// The tile's columns of the output, which no other tile of these rows has.
    pub(super) columns: Rows,
    pub(super) out: &'a Columns,
}

impl Kernel for Finish<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.kind {
            Kind::Plain(bias, Activation::None) => self.plain(s, bias, |_, x| x),
            Kind::Plain(bias, Activation::Gelu) => self.plain(s, bias, math::gelu),
            Kind::Plain(bias, Activation::GeluTanh) => self.plain(s, bias, math::gelu_tanh),
            Kind::Gated(biases) => self.gated(s, biases),
        }
    }
}

impl Finish<'_> {
    #[inline(always)]
    fn plain<S: Simd>(&self, s: S, bias: Option<&[f32]>, activation: impl Fn(S, S::F) -> S::F) {
        let columns = [0, 1].map(|half| self.part(half));
        let bias = bias.map(|bias| columns.map(|columns| self.vector(s, bias, columns)));
        self.each_row(|row, sums| {
            for v in 0..2 {
                let sum = s.load(&sums[v]);
                let sum = if let Some(bias) = bias { s.add(bias[v], sum) } else { sum };
                self.write(s, row, columns[v], activation(s, sum));
            }
        });
    }

    /// `silu(gate) * up`, of the two halves of a tile.
    #[inline(always)]
    fn gated<S: Simd>(&self, s: S, biases: Option<[&[f32]; 2]>) {
        let biases = biases.map(|biases| biases.map(|bias| self.vector(s, bias, self.columns)));
        self.each_row(|row, sums| {
            let [mut gate, mut up] = [s.load(&sums[0]), s.load(&sums[1])];
            if let Some(biases) = biases {
                (gate, up) = (s.add(gate, biases[0]), s.add(up, biases[1]));
            }
            self.write(s, row, self.columns, s.mul(math::silu(s, gate), up));
        });
    }

    /// The columns of a half of the tile.
    fn part(&self, half: usize) -> Rows {
        let before = self.columns.count.min(half * LANES);
        Rows { first: self.columns.first + before, count: LANES.min(self.columns.count - before) }
    }

    /// The elements of up to sixteen columns.
    #[inline(always)]
    fn vector<S: Simd>(&self, s: S, row: &[f32], columns: Rows) -> S::F {
        let part = &row[columns.first..][..columns.count];
        part.as_array().map_or_else(|| s.load_part(part, 0.0), |part| s.load(part))
    }

    /// Calls `finish` with every row of the output and its two vectors of sums.
    #[inline(always)]
    fn each_row(&self, finish: impl Fn(usize, &[[f32; LANES]])) {
        for (i, sums) in self.sums.chunks(self.stride).take(self.rows.count).enumerate() {
            finish(self.rows.first + i, sums[..OUTPUTS].as_chunks().0);
        }
    }

    #[inline(always)]
    fn write<S: Simd>(&self, s: S, row: usize, columns: Rows, x: S::F) {
        // SAFETY: the row is one of the output's, and its columns are this tile's alone.
        let out = unsafe { self.out.row(row, columns) };
        let mut lanes = [0.0; LANES];
        s.store(&mut lanes, x);
        match out.as_mut_array::<LANES>() {
            Some(out) => *out = lanes.map(MaybeUninit::new),
            None => drop(out.write_copy_of_slice(&lanes[..columns.count])),
        }
    }
}
