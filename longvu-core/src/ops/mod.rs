//! Tensor maths shared by the models: one call per operation, so that a backend can be given its own kernel.
//!
//! Every function here is written with burn's tensor operations and runs on any device.

mod activation;
mod attention;
mod linear;
mod norm;
mod resample;

pub use activation::{gelu, gelu_tanh, silu_mul};
pub use attention::{attention, causal_attention};
pub use linear::linear;
pub use norm::{layer_norm, rms_norm};
pub use resample::{Interpolation, resample_grid};
