//! Gradients of linear layers: two matrix products and a sum over rows.

use super::sums::column_sums;
use crate::product::{Matrix, Product, multiply_into};
use crate::simd::Level;

/// Gradients of `y = x · weightᵀ + bias` from `grad`, that of `y`: weight and `grad_weight` are `[outputs, inputs]`, x and
/// `grad_x` `[rows, inputs]`, grad `[rows, outputs]`, `grad_bias` `[outputs]`. Only those that are given are computed.
///
/// # Panics
/// If the lengths do not fit.
pub fn linear_backward(
    weight: &[f32],
    inputs: usize,
    x: &[f32],
    grad: &[f32],
    grad_x: Option<&mut [f32]>,
    grad_weight: Option<&mut [f32]>,
    grad_bias: Option<&mut [f32]>,
) {
    assert!(inputs > 0 && x.len().is_multiple_of(inputs) && weight.len().is_multiple_of(inputs), "rows of {inputs}");
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    assert_eq!(grad.len(), rows * outputs, "{rows} rows of {outputs} outputs");
    let grad_rows = Matrix::new(grad, [rows, outputs], outputs);
    if let Some(grad_x) = grad_x {
        assert_eq!(grad_x.len(), x.len(), "x and its gradient");
        let weight = Matrix::new(weight, [outputs, inputs], inputs);
        multiply_into(grad_x, inputs, grad_rows, weight, Product::default());
    }
    if let Some(grad_weight) = grad_weight {
        assert_eq!(grad_weight.len(), weight.len(), "weight and its gradient");
        let x = Matrix::new(x, [rows, inputs], inputs);
        multiply_into(grad_weight, inputs, grad_rows.transposed(), x, Product::default());
    }
    if let Some(grad_bias) = grad_bias {
        assert_eq!(grad_bias.len(), outputs, "outputs and the bias's gradient");
        if outputs > 0 {
            column_sums(Level::best(), grad, grad_bias);
        }
    }
}
