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
use serde_json::Value;

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

/// Reads a JSON object. A key whose value is null counts as absent, so that its default applies: Python writes
/// `None` for settings that were never made.
fn read_object(path: &Path) -> Result<Value> {
    let mut value: Value = read_json(path)?;
    ensure(path, value.is_object(), || "a JSON object (`{ ... }`) is expected".into())?;
    drop_nulls(&mut value);
    Ok(value)
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, inner| !inner.is_null());
        map.values_mut().for_each(drop_nulls);
    }
}

/// Turns a JSON object into a configuration; the error names the key at fault.
fn parse<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T> {
    serde_json::from_value(value.clone()).map_err(|error| {
        let reason = error.to_string();
        invalid(path, blame::<T>(&value, &reason).map_or(reason.clone(), |key| format!("`{key}`: {reason}")))
    })
}

/// The key whose value made `T` refuse `value`: serde does not say, but without that key it complains differently.
///
/// This holds because serde looks at values before it looks for missing keys, except in a flattened struct.
fn blame<T: DeserializeOwned>(value: &Value, reason: &str) -> Option<String> {
    let keys = value.as_object()?.keys();
    let different = |key: &&String| {
        let mut without = value.clone();
        without.as_object_mut().map(|map| map.remove(key.as_str()));
        serde_json::from_value::<T>(without).err().is_none_or(|error| error.to_string() != reason)
    };
    keys.clone().find(different).cloned()
}

/// Largest size that a key may state. Far beyond any model, and small enough that products of two do not overflow.
const LARGEST: usize = 1 << 30;
/// Most layers that a key may state.
const MOST_LAYERS: usize = 1 << 12;

/// Checks that each of `sizes` lies between 1 and what a model can have.
fn ensure_sizes(path: &Path, sizes: &[(&str, usize)]) -> Result<()> {
    for &(key, value) in sizes {
        let most = if key.ends_with("layers") || key.ends_with("depth") { MOST_LAYERS } else { LARGEST };
        ensure(path, value > 0, || format!("`{key}` must be at least 1"))?;
        ensure(path, value <= most, || format!("`{key}` is {value}; no model has more than {most}"))?;
    }
    Ok(())
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
