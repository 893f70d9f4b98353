//! Rows of a tensor by their positions.

use burn::tensor::{Int, Tensor, TensorData};

/// The slices of the first dimension at `rows`, in that order; always a copy.
pub fn select_rows<const D: usize>(x: Tensor<D>, rows: &[usize]) -> Tensor<D> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), &x.device());
    x.select(0, indices)
}
