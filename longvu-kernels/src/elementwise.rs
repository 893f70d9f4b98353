//! Sums of rows: biases and residuals.

use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_rows;

/// `row += delta * scale`.
pub(crate) struct AddRow<'a> {
    pub row: &'a mut [f32],
    pub delta: &'a [f32],
    pub scale: Option<&'a [f32]>,
}

impl Kernel for AddRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (rows, row_rest) = self.row.as_chunks_mut::<LANES>();
        let (deltas, delta_rest) = self.delta.as_chunks::<LANES>();
        if let Some(scale) = self.scale {
            let (scales, scale_rest) = scale.as_chunks::<LANES>();
            for ((row, delta), scale) in rows.iter_mut().zip(deltas).zip(scales) {
                s.store(row, s.fma(s.load(delta), s.load(scale), s.load(row)));
            }
            for ((row, delta), scale) in row_rest.iter_mut().zip(delta_rest).zip(scale_rest) {
                *row += delta * scale;
            }
        } else {
            for (row, delta) in rows.iter_mut().zip(deltas) {
                s.store(row, s.add(s.load(delta), s.load(row)));
            }
            for (row, delta) in row_rest.iter_mut().zip(delta_rest) {
                *row += delta;
            }
        }
    }
}

/// `x += bias` for every row of `x`; bias `[channels]`, x `[rows, channels]`.
///
/// # Panics
/// If `x` is not whole rows.
pub fn add_bias(x: &mut [f32], bias: &[f32]) {
    let (level, width) = (Level::best(), bias.len());
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} in {} elements", x.len());
    for_rows(x, width, |_, rows| {
        for row in rows.chunks_exact_mut(width) {
            level.run(AddRow { row, delta: bias, scale: None });
        }
    });
}

/// `residual += delta * scale`; scale `[channels]` is a layer scale, absent for 1.
///
/// # Panics
/// If the lengths do not fit.
pub fn add_scaled(residual: &mut [f32], delta: &[f32], scale: Option<&[f32]>) {
    assert_eq!(residual.len(), delta.len(), "residual and delta");
    let level = Level::best();
    let width = scale.map_or(residual.len().clamp(1, 4096), <[f32]>::len);
    assert!(width > 0 && (scale.is_none() || residual.len().is_multiple_of(width)), "rows of {width}");
    for_rows(residual, width, |first, rows| {
        let deltas = &delta[first * width..][..rows.len()];
        for (row, delta) in rows.chunks_mut(width).zip(deltas.chunks(width)) {
            level.run(AddRow { row, delta, scale });
        }
    });
}
