//! Gradients of the kernels, for training in `f32`.
//!
//! Each function takes the inputs of the forward pass and the gradient of its output, and overwrites the gradients of the
//! inputs. What the forward pass computed in between is computed again. Sums over rows are cut by sizes alone, so that
//! gradients do not depend on the number of threads either.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod cross_entropy;
mod linear;
pub(crate) mod norm;
mod rotary;
mod sums;

pub use activation::{gelu_backward, gelu_tanh_backward, silu_mul_backward, swiglu_backward};
pub use attention::attention_backward_batch;
pub use cross_entropy::softmax_cross_entropy;
pub use linear::linear_backward;
pub use norm::{layer_norm_backward, rms_norm_backward};
pub use rotary::rotary_backward;
