#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[doc(hidden)]
pub mod atomic;
mod checkpoint;
pub mod config;
mod error;
#[doc(hidden)]
pub mod files;
mod formats;
#[cfg(feature = "hub")]
mod hub;
mod limits;
mod load_options;
pub mod memory;
pub mod nn;
mod repo;
mod source;
mod synthetic;
mod weights;

pub use checkpoint::Checkpoint;
pub use error::{Error, Mismatch, Result};
#[doc(hidden)]
pub use formats::header::{HeaderFault, SafetensorsHeader};
pub use formats::{mapped::Mapping, writer::SafetensorsWriter};
pub use limits::Limits;
pub use load_options::LoadOptions;
pub use repo::{Repo, RepoOptions};
pub use source::TensorSource;
pub use synthetic::Synthetic;
#[doc(hidden)]
pub use synthetic::{synthetic_range, synthetic_value, synthetic_values};
pub use weights::{LoadReport, TensorRole, TensorSpec, Weights, load};
#[doc(hidden)]
pub use weights::{TensorLookup, build, check, declare};
