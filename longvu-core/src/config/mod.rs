//! Typed configurations, read from the `config.json` files that Hugging Face checkpoints carry.
//!
//! Every size of a model is taken from here; nothing is hard-coded. Values are checked when they are read, and
//! against the shapes of the weights when those are loaded ([`crate::load`]).

mod decoder;
mod dinov2;
mod longvu;
mod preprocessor;
mod siglip;
mod tower;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use decoder::{DecoderConfig, RopeScaling, TokenIds};
pub use dinov2::Dinov2Config;
pub use longvu::{LanguageModel, LongVuConfig};
pub use preprocessor::PreprocessorConfig;
pub use siglip::SiglipConfig;
pub use tower::{TowerFamily, TowerRef};

use crate::{Error, Result};

/// Reads and parses a JSON file.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Io`], or [`Error::Config`] with the position of the fault.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path: path.to_owned(),
            hint: "a Hugging Face model folder has this file; check that the folder is complete".into(),
        },
        _ => Error::Io { path: path.to_owned(), source },
    })?;
    serde_json::from_str(&text).map_err(|e| invalid(path, e.to_string()))
}

fn invalid(path: &Path, reason: impl Into<String>) -> Error {
    Error::Config { path: path.to_owned(), reason: reason.into() }
}

/// Checks one value of a configuration file.
fn ensure(path: &Path, condition: bool, reason: impl FnOnce() -> String) -> Result<()> {
    if condition { Ok(()) } else { Err(invalid(path, reason())) }
}

/// The side of a square token grid of `tokens` cells; `None` when `tokens` is no square.
pub fn grid_side(tokens: usize) -> Option<usize> {
    let side = tokens.isqrt();
    (side * side == tokens && side > 0).then_some(side)
}
