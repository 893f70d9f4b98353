//! Tensor maths shared by the models: one call per operation, so that a backend can be given its own kernel.
//!
//! Every function here is written with burn's tensor operations and runs on any device. On the CPU, f32 tensors without
//! gradients go through the kernels of `longvu-kernels` instead, unless [`set_cpu_kernels`] turns them off; with the
//! feature `autodiff`, so do those with gradients, and their backward passes.

mod activation;
mod attention;
#[cfg(feature = "flex")]
mod cpu;
mod cross_entropy;
#[cfg(all(feature = "flex", feature = "autodiff"))]
mod grad;
mod linear;
mod norm;
mod operands;
mod pool;
mod resample;
mod rotary;
mod select;
mod similarity;

pub use activation::{gelu, silu_mul};
#[doc(hidden)]
pub use activation::{gelu_tanh, swiglu};
pub use attention::{attention, attention_in, causal_attention, causal_attention_in};
#[cfg(feature = "flex")]
pub use cpu::{cpu_kernels, set_cpu_kernels};
#[doc(hidden)]
pub use cross_entropy::cross_entropy;
pub use linear::linear;
#[doc(hidden)]
pub use linear::linear_quantized;
pub use linear::{linear_activated, linear_gated};
pub use longvu_kernels::Activation;
#[cfg(feature = "flex")]
pub use longvu_kernels::Isa;
pub use norm::{add_residual, layer_norm, rms_norm};
pub use operands::{Precision, Weight};
pub use pool::in_pool;
pub use resample::{Interpolation, resample_grid};
pub use rotary::rotary;
#[doc(hidden)]
pub use select::select_rows;
pub use similarity::{cosine_similarity, cosine_with_first};
