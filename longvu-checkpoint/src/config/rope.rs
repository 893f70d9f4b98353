//! Rotary positions in `config.json`, in the keys of any version of transformers.
//!
//! Version 4 writes `rope_theta` and `rope_scaling`; version 5 puts both into `rope_parameters`, which some models have once
//! per type of layer. Both come out as the former.

use std::path::Path;

use serde_json::{Map, Value};

use super::{ensure, invalid};
use crate::Result;

/// The one type of layer that these decoders have, as `layer_types` and `rope_parameters` call it.
const FULL: &str = "full_attention";

/// Numbers of a scaling, beside its type.
const NUMBERS: [&str; 4] = ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"];

/// Keys that are checked and not kept.
pub const CHECKED: [&str; 2] = ["layer_types", "partial_rotary_factor"];

/// Turns the keys of version 5, of a file or of what a user sets instead, into those of version 4, in place.
///
/// # Errors
/// Keys that contradict each other, and settings that these decoders do not have.
pub fn unify(path: &Path, config: &mut Map<String, Value>) -> Result<()> {
    if config.get("rope_parameters").is_some_and(Value::is_null) {
        // Taken away are both, unless they are set apart.
        config.remove("rope_parameters");
        for key in ["rope_theta", "rope_scaling"] {
            config.entry(key).or_insert(Value::Null);
        }
    }
    let older = Rope::take(path, config, "rope_scaling")?;
    let newer = Rope::take(path, config, "rope_parameters")?;
    let thetas = [
        ("rope_theta", remove(config, "rope_theta")),
        ("rope_scaling", older.as_ref().and_then(|rope| rope.theta.clone())),
        ("rope_parameters", newer.as_ref().and_then(|rope| rope.theta.clone())),
    ];
    let mut thetas = thetas.into_iter().filter_map(|(key, theta)| Some((key, theta?)));
    if let Some((first, theta)) = thetas.next() {
        if let Some((second, other)) = thetas.find(|(_, other)| !same(other, &theta)) {
            return Err(contradiction(path, &format!("a `rope_theta` of {theta}"), first, &other.to_string(), second));
        }
        config.insert("rope_theta".into(), theta);
    }
    if let (Some(older), Some(newer)) = (&older, &newer)
        && !older.scales_as(newer)
    {
        let (older, newer) = (Value::from(older.scaling.clone()), Value::from(newer.scaling.clone()));
        return Err(contradiction(path, &older.to_string(), "rope_scaling", &newer.to_string(), "rope_parameters"));
    }
    if let Some(rope) = newer.or(older) {
        config.insert("rope_scaling".into(), rope.scaling.into());
    }
    Ok(())
}

/// Checks that every layer is of the one type, and rotates whole heads.
///
/// # Errors
/// Other layers.
pub fn check_layers(path: &Path, config: &Map<String, Value>) -> Result<()> {
    let layers = config.get("layer_types").and_then(Value::as_array);
    let other = layers.and_then(|layers| layers.iter().find(|&layer| layer != FULL)).cloned();
    ensure(path, other.is_none(), || {
        format!("`layer_types` has {}; only `{FULL}` is part of LongVU", other.unwrap_or_default())
    })?;
    check_partial(path, "partial_rotary_factor", config.get("partial_rotary_factor"))
}

/// Takes a value out; a null, which takes another's value away, stays.
fn remove(config: &mut Map<String, Value>, key: &str) -> Option<Value> {
    config.get(key).filter(|value| !value.is_null())?;
    config.remove(key)
}

fn contradiction(path: &Path, value: &str, key: &str, other: &str, other_key: &str) -> crate::Error {
    let reason = format!(
        "`{key}` says {value} and `{other_key}` says {other}; remove the one that the model was not trained with"
    );
    invalid(path, reason)
}

/// What one key says.
struct Rope {
    theta: Option<Value>,
    /// `rope_type` and numbers.
    scaling: Map<String, Value>,
}

impl Rope {
    /// Takes `key` out of `config`, if it is there.
    fn take(path: &Path, config: &mut Map<String, Value>, key: &str) -> Result<Option<Self>> {
        let Some(value) = remove(config, key) else { return Ok(None) };
        let mut scaling = match value {
            Value::Object(map) => map,
            other => return Err(invalid(path, format!("`{key}` is {other}; an object (`{{ ... }}`) is expected"))),
        };
        if scaling.values().any(Value::is_object) {
            scaling = of_full_attention(path, key, scaling)?;
        }
        let theta = scaling.remove("rope_theta");
        check_partial(path, key, scaling.remove("partial_rotary_factor").as_ref())?;
        let legacy = scaling.remove("type");
        if let (Some(kind), Some(legacy)) = (scaling.get("rope_type"), &legacy) {
            ensure(path, kind == legacy, || {
                format!("`{key}` is of `rope_type` {kind} and of `type` {legacy}; remove the wrong one")
            })?;
        }
        if let Some(legacy) = legacy {
            scaling.insert("rope_type".into(), legacy);
        }
        let kind = scaling.get("rope_type").cloned();
        ensure(path, kind.as_ref().is_none_or(Value::is_string), || {
            format!("`rope_type` in `{key}` is {}; a name is expected", kind.unwrap_or_default())
        })?;
        let rope = Self { theta, scaling };
        // Other types have numbers of other names, and are refused for what they are.
        if matches!(rope.kind(), "default" | "llama3") {
            let unknown = rope.scaling.keys().find(|&name| name != "rope_type" && !NUMBERS.contains(&name.as_str()));
            ensure(path, unknown.is_none(), || {
                let unknown = unknown.map_or("", String::as_str);
                format!("`{unknown}` in `{key}` has no meaning for type `{}`; remove it", rope.kind())
            })?;
        }
        if rope.kind() == "default" {
            let scales = |name: &&&str| rope.scaling.get(**name).is_some_and(|value| !is_neutral(name, value));
            let number = NUMBERS.iter().find(scales);
            ensure(path, number.is_none(), || {
                let number = number.unwrap_or(&"");
                format!(
                    "`{key}` has a `{number}` and no `rope_type` that scales by it; name the type, or remove `{number}` if \
                     the model was trained without"
                )
            })?;
        }
        Ok(Some(rope))
    }

    fn kind(&self) -> &str {
        self.scaling.get("rope_type").and_then(Value::as_str).unwrap_or("default")
    }

    fn scales_as(&self, other: &Self) -> bool {
        let number = |name: &str| match (self.scaling.get(name), other.scaling.get(name)) {
            (Some(one), Some(two)) => same(one, two),
            (one, two) => one == two,
        };
        self.kind() == other.kind() && (self.kind() == "default" || NUMBERS.into_iter().all(number))
    }
}

/// Whether a number scales nothing.
fn is_neutral(name: &str, value: &Value) -> bool {
    value.is_null() || (name == "factor" && value.as_f64() == Some(1.0))
}

/// The parameters of the one type of layer that there is, of parameters by type of layer.
fn of_full_attention(path: &Path, key: &str, mut by_type: Map<String, Value>) -> Result<Map<String, Value>> {
    let full = by_type.remove(FULL);
    let other = by_type.iter().find(|(_, parameters)| Some(*parameters) != full.as_ref()).map(|(name, _)| name.clone());
    match (full, other) {
        (Some(Value::Object(full)), None) => Ok(full),
        (_, Some(other)) => Err(invalid(
            path,
            format!("`{key}` differs for `{other}`; LongVU's layers are all `{FULL}`: keep that alone"),
        )),
        _ => Err(invalid(path, format!("`{key}` has no object `{FULL}`, the type of LongVU's layers"))),
    }
}

fn check_partial(path: &Path, key: &str, factor: Option<&Value>) -> Result<()> {
    ensure(path, factor.is_none_or(|factor| factor.as_f64() == Some(1.0)), || {
        let factor = factor.unwrap_or(&Value::Null);
        format!("`partial_rotary_factor` is {factor} (`{key}`); Qwen2 and Llama rotate whole heads, which is 1.0")
    })
}

/// Whether two values are one number, however written.
fn same(one: &Value, two: &Value) -> bool {
    match (one.as_f64(), two.as_f64()) {
        (Some(one), Some(two)) => one == two,
        _ => one == two,
    }
}
