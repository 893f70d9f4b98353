#![doc = include_str!("../README.md")]
#![allow(
    clippy::needless_range_loop,
    reason = "loops over a few registers: counted loops unroll where iterators of arrays go through memory"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activation;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, unused_imports, reason = "what only x86-64 has instructions for")
)]
mod amx;
mod attention;
pub mod backward;
mod cosine;
mod elementwise;
mod gemv;
mod gram;
mod heap;
mod isa;
mod linear;
mod math;
mod norm;
mod patchify;
mod product;
mod quant;
mod rotary;
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, unused_imports, reason = "what only x86-64 has instructions for")
)]
mod simd;
mod softmax;
mod threads;
mod tiles;

#[cfg(test)]
mod tests;

pub use activation::{
    gelu, gelu_into, gelu_tanh, gelu_tanh_into, silu, silu_into, silu_mul, silu_mul_in_place, swiglu,
};
pub use attention::{BatchShape, Heads, HeadsMut, attention, attention_batch, attention_bf16};
pub use cosine::cosine_with_first;
pub use elementwise::{add_bias, add_scaled};
pub use gemv::{MAX_ROWS, gemv_bf16, gemv_f16, gemv_f32};
pub use gram::gram;
pub use heap::tune_allocator;
pub use isa::{Isa, UnknownIsa};
pub use linear::{WeightMatrix, linear, linear_activated, linear_gated};
pub use norm::{add_layer_norm, add_rms_norm, layer_norm, rms_norm};
pub use patchify::patchify;
pub use quant::{QuantBits, QuantFormat, QuantMatrix, ScaleType};
pub use rotary::{RowOrder, rotary};
pub use softmax::softmax;
pub use threads::{in_pool, zeros};
pub use tiles::Activation;
