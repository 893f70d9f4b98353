//! Linear layers with weights in the state dict's layout.

use burn::tensor::Tensor;

/// `x @ weight^T + bias`, with `weight` as PyTorch stores it.
///
/// # Shapes
/// - `x`: `[..., d_input]`
/// - `weight`: `[d_output, d_input]`
/// - `bias`: `[d_output]`
/// - output: `[..., d_output]`
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let mut dims = x.dims();
    let [d_output, d_input] = weight.dims();
    let rows = dims.iter().take(D - 1).product::<usize>();
    let mut out = x.reshape([rows, d_input]).matmul(weight.transpose());
    if let Some(bias) = bias {
        out = out + bias.unsqueeze();
    }
    dims[D - 1] = d_output;
    out.reshape(dims)
}
