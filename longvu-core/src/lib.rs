#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod device;
mod dtype;
mod error;
mod error_kind;
pub mod ops;
mod progress;
mod quantize;
pub mod text;
mod weight_format;

pub use burn::tensor::Device;
#[doc(hidden)]
pub use device::{adapter_name, is_cpu};
pub use device::{available_devices, parse_device};
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use error_kind::ErrorKind;
pub use longvu_kernels::tune_allocator;
#[doc(hidden)]
pub use progress::WatchedStep;
pub use progress::{Cancelled, Progress, Step, Watch};
pub use quantize::{Quantize, QuantizedMatrix};
pub use weight_format::WeightFormat;
