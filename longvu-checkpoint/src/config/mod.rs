//! Typed configurations, read from the `config.json` files that Hugging Face checkpoints carry.
//!
//! Every size of a model is taken from here; nothing is hard-coded. Values are checked when they are read, and
//! against the shapes of the weights when those are loaded ([`crate::load`]).

mod alike;
mod decoder;
mod dinov2;
mod json;
mod longvu;
mod preprocessor;
mod rope;
mod siglip;
mod tower;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

#[doc(hidden)]
pub use alike::alike;
pub use decoder::{DecoderConfig, RopeScaling, TokenIds};
pub use dinov2::Dinov2Config;
#[doc(hidden)]
pub use json::{parse_json, read_json, read_json_within};
pub use longvu::{LanguageModel, LongVuConfig};
pub use preprocessor::PreprocessorConfig;
pub use siglip::SiglipConfig;
pub use tower::{TowerFamily, TowerRef};

use crate::{Error, Limits, Result, limits::product};

/// Reads a JSON object. A key whose value is null counts as absent, so that its default applies: Python writes
/// `None` for settings that were never made.
fn read_object(path: &Path, limits: &Limits) -> Result<Value> {
    let mut value: Value = read_json_within(path, limits.config_bytes)?;
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
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (key, reason) = (error.path(), error.inner());
        // A key that is missing has no place yet.
        let at_the_root = key.iter().next().is_none();
        invalid(path, if at_the_root { reason.to_string() } else { format!("`{key}`: {reason}") })
    })
}

/// Checks each of `sizes`, a key with its value and the largest allowed.
fn ensure_sizes(path: &Path, sizes: &[(&str, usize, usize)]) -> Result<()> {
    for &(key, value, most) in sizes {
        ensure(path, value > 0, || format!("`{key}` must be at least 1"))?;
        if value > most {
            return Err(over_limit(path, format!("`{key}` is {value}, more than the {most} that are allowed")));
        }
    }
    Ok(())
}

/// Checks that a picture of `side` pixels has a patch of `patch` pixels, and no more of them than a frame may have.
fn ensure_input_side(path: &Path, side: usize, patch: usize, limits: &Limits) -> Result<()> {
    ensure_sizes(path, &[("patch_size", patch, limits.image_side)])?;
    let patches = product(&[side / patch, side / patch]);
    let reason = || {
        format!(
            "a picture of {side} x {side} pixels has {patches} patches of {patch}; between 1 and {} are allowed (the side \
             is `image_size`, `size` in preprocessor_config.json, or `-resNNN` in `mm_vision_tower_aux_list`)",
            limits.frame_tokens
        )
    };
    ensure(path, patches > 0, reason)?;
    if patches <= limits.frame_tokens as u128 { Ok(()) } else { Err(over_limit(path, reason())) }
}

/// Checks numbers that the model computes with in f32: each must be one there.
fn ensure_finite(path: &Path, numbers: &[(&str, f64)]) -> Result<()> {
    for &(key, value) in numbers {
        ensure(path, (value as f32).is_finite(), || format!("`{key}` is {value}, which is out of range"))?;
    }
    Ok(())
}

fn invalid(path: &Path, reason: impl Into<String>) -> Error {
    Error::Config { path: path.to_owned(), reason: reason.into() }
}

fn over_limit(path: &Path, reason: String) -> Error {
    Error::OverLimit { path: path.to_owned(), reason }
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
