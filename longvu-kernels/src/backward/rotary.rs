//! The gradient of rotary position embeddings: the opposite rotation.

use crate::RowOrder;
use crate::rotary::rotary_at;
use crate::simd::Level;

/// Turns the gradient of [`rotary`](crate::rotary())'s result into that of its input, in place; the tables are those of the
/// forward pass.
///
/// # Panics
/// If the lengths do not fit.
pub fn rotary_backward(x: &mut [f32], heads: usize, head_dim: usize, order: RowOrder, cos: &[f32], sin: &[f32]) {
    rotary_at::<true>(Level::best(), x, heads, head_dim, order, cos, sin);
}
