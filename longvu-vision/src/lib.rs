#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod aggregator;
mod attention;
mod dinov2;
mod error;
mod patch;
mod preprocess;
mod projector;
mod resize;
mod siglip;
mod unpad;

pub use aggregator::{AggregatorConfig, SpatialVisionAggregator};
pub use dinov2::Dinov2;
pub use error::{Error, Result};
pub use preprocess::Preprocessor;
pub use projector::MmProjector;
pub use siglip::Siglip;
pub use unpad::{KeptCells, SizePair};
