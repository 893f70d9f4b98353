//! Golden checkpoints as whole models, with a case's settings in place of the checkpoint's.

use longvu::LongVu;
use serde_json::{Map, Value};

use super::{device, golden_dir};

/// The checkpoint of a case's `kind`, with the values of its `config`.
pub fn model(kind: &str, config: &Map<String, Value>) -> LongVu {
    let folder = golden_dir().join("checkpoint").join(format!("longvu_{kind}"));
    let mut builder = LongVu::builder(folder.to_str().unwrap()).device(&device());
    for (key, value) in config {
        builder = builder.config_value(key, value.clone());
    }
    builder.load().unwrap()
}
