//! Many rows against quantised weights, in `f32`.

use super::QuantMatrix;
use crate::gemv::{MAX_ROWS, shape};
use crate::threads::for_rows;

/// Outputs that are dequantised at a time: 4 MB for 4,096 inputs, which the last cache holds.
const PANEL: usize = 256;

pub(super) fn matmul(matrix: &QuantMatrix, x: &[f32], bias: Option<&[f32]>, out: &mut [f32]) {
    let (rows, outputs) = shape(matrix.inputs, x, bias, out);
    assert_eq!(outputs, matrix.outputs, "outputs");
    if rows <= MAX_ROWS {
        return matrix.gemv(x, bias, out);
    }
    let mut panel = vec![0.0; PANEL.min(outputs) * matrix.inputs];
    for first in (0..outputs).step_by(PANEL) {
        let count = PANEL.min(outputs - first);
        let panel = &mut panel[..count * matrix.inputs];
        matrix.dequantize(first, panel);
        multiply(x, panel, matrix.inputs, out, outputs, first);
    }
    if let Some(bias) = bias {
        for_rows(out, outputs, |_, rows| {
            for row in rows.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(out, bias)| *out += bias);
            }
        });
    }
}

/// `out[.., first..] = x · panelᵀ`: x `[rows, inputs]`, panel `[count, inputs]`, out `[rows, outputs]`.
fn multiply(x: &[f32], panel: &[f32], inputs: usize, out: &mut [f32], outputs: usize, first: usize) {
    let (rows, count) = (x.len() / inputs, panel.len() / inputs);
    assert!(x.len() == rows * inputs && out.len() == rows * outputs && first + count <= outputs);
    let (row, column) = (inputs as isize, 1);
    // SAFETY: the lengths were checked just above: x has rows * inputs elements, the panel count * inputs, and the last
    // element written is out[(rows - 1) * outputs + first + count - 1].
    unsafe {
        gemm::gemm(
            rows,
            count,
            inputs,
            out.as_mut_ptr().add(first),
            1,
            outputs as isize,
            false,
            x.as_ptr(),
            column,
            row,
            panel.as_ptr(),
            row,
            column,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}
