//! Rotary position embeddings in the rotate-half form of Qwen2 and Llama.

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;

/// Rotates each pair `(x[i], x[i + head_dim / 2])` by its position's angle.
///
/// # Shapes
/// - `x`: `[batch, positions, heads, head_dim]`
/// - `cos`, `sin`: `[positions, head_dim / 2]`, in float32 or, without the CPU's kernels, in `x`'s dtype
/// - output: as `x`
pub fn rotary(x: Tensor<4>, cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if cpu::applies(&x) && cpu::applies(cos) && cpu::applies(sin) {
        return cpu::rotary(x, cos, sin);
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if grad::applies(&x)
        && let Some(out) = grad::rotary(x.clone(), cos, sin)
    {
        return out;
    }
    let dtype = x.dtype();
    let half = x.dims()[3] / 2;
    let table = |table: &Tensor<2>| table.clone().cast(dtype).unsqueeze_dim::<3>(1).unsqueeze::<4>();
    let (cos, sin) = (table(cos), table(sin));
    let (first, second) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let rotated_first = first.clone() * cos.clone() - second.clone() * sin.clone();
    let rotated_second = second * cos + first * sin;
    Tensor::cat(vec![rotated_first, rotated_second], 3)
}
