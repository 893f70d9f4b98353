#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod decoder;
mod kv_cache;
mod rotary;

pub use decoder::Decoder;
pub use kv_cache::KvCache;
pub use rotary::{RotaryEmbedding, rotate};
