//! What tiles of 8-bit integers are multiplied from.

use super::lines::Line;
use crate::simd::LANES;

/// Quantised weights of a tile of outputs and a block of inputs.
#[derive(Clone, Copy)]
pub(crate) struct QuantTile<'a> {
    /// Codes of each half, `[words]`.
    pub(crate) codes: [&'a [Line]; 2],
    /// Scales of each half, `[groups]`.
    pub(crate) scales: [&'a [[f32; LANES]]; 2],
    /// What sums start with, as activations are 128 too great: `[groups]`.
    pub(crate) starts: [&'a [[i32; LANES]]; 2],
    /// Offsets of each half, `[groups]`, or nothing.
    pub(crate) offsets: [&'a [[f32; LANES]]; 2],
    /// Words of a group.
    pub(crate) group: usize,
}

/// Quantised activations of a tile of rows and a block of inputs.
#[derive(Clone, Copy)]
pub(crate) struct QuantRows<'a> {
    /// `[words, rows]`.
    pub(crate) codes: &'a [u32],
    /// `[groups, rows]`.
    pub(crate) scales: &'a [f32],
    /// Sums of a group's activations, `[groups, rows]`.
    pub(crate) sums: &'a [f32],
    pub(crate) rows: usize,
}

impl QuantTile<'_> {
    /// Checks the lengths against each other.
    pub(super) fn check(&self, x: &QuantRows<'_>, most: usize) {
        let groups = self.scales[0].len();
        let all = |mut lengths: [usize; 2], len| lengths.iter_mut().all(|found| *found == len);
        assert!(
            x.rows <= most
                && x.codes.len() == groups * self.group * x.rows
                && x.scales.len() == groups * x.rows
                && x.sums.len() == x.scales.len()
                && all(self.codes.map(<[_]>::len), groups * self.group)
                && all(self.scales.map(<[_]>::len), groups)
                && all(self.starts.map(<[_]>::len), groups)
                && (all(self.offsets.map(<[_]>::len), groups) || all(self.offsets.map(<[_]>::len), 0)),
            "a tile of {} rows and {groups} groups",
            x.rows
        );
    }
}
