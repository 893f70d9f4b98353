//! Copies of chosen rows.

use crate::gemv::TASK_BYTES;
use crate::threads::for_each;

/// `out[i] = x[indices[i]]`, rows of `width` elements.
///
/// # Panics
/// If the lengths do not fit, or an index is none of a row of `x`.
pub fn gather_rows(x: &[f32], width: usize, indices: &[usize], out: &mut [f32]) {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} in {} elements", x.len());
    assert_eq!(out.len(), indices.len() * width, "{} rows of {width}", indices.len());
    let count = (TASK_BYTES / (width * size_of::<f32>())).max(1);
    for_each(out.chunks_mut(count * width).zip(indices.chunks(count)).collect(), |(out, indices)| {
        for (out, &i) in out.chunks_exact_mut(width).zip(indices) {
            out.copy_from_slice(&x[i * width..][..width]);
        }
    });
}
