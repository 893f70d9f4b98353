#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod atomic;
pub mod checkpoint;
pub mod config;
mod device;
mod dtype;
mod error;
pub mod files;
mod limits;
pub mod nn;
pub mod ops;
mod quantize;
mod weights;

pub use burn::tensor::Device;
pub use device::{available_devices, is_cpu, parse_device};
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use limits::Limits;
pub use quantize::{Quantize, QuantizedMatrix};
pub use weights::{
    LoadOptions, LoadReport, TensorLookup, TensorRole, TensorSpec, Weights, build, check, declare, load,
};
