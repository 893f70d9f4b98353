//! Sums over rows.

use crate::elementwise::AddRow;
use crate::simd::{Kernel, Level, Simd};
use crate::threads::{for_each, rows_per_task};

/// `out += row` for every row of `x`.
struct AddRows<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.x.chunks_exact(self.out.len()) {
            AddRow { row: self.out, delta: row, scale: None }.run(s);
        }
    }
}

/// `out[c] = sum over r of x[r, c]`, on the calling thread.
pub(super) fn sum_rows(level: Level, x: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    level.run(AddRows { x, out });
}

/// `out[c] = sum over r of x[r, c]`: x `[rows, width]`, out `[width]`.
pub(super) fn column_sums(level: Level, x: &[f32], out: &mut [f32]) {
    let width = out.len();
    let task = rows_per_task(x.len() / width, width) * width;
    let mut parts = vec![0.0; x.len().div_ceil(task) * width];
    for_each(x.chunks(task).zip(parts.chunks_mut(width)).collect(), |(x, part)| sum_rows(level, x, part));
    sum_rows(level, &parts, out);
}
