//! The published sizes in `configs/` are complete, consistent, and have the published parameter counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ops::Range, path::Path};

use longvu::{Inspection, core::checkpoint::RepoOptions, inspect};

fn inspected(name: &str) -> Inspection {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    inspect(folder.to_str().unwrap(), None, &RepoOptions::default()).unwrap()
}

#[track_caller]
fn assert_billions(inspection: &Inspection, part: &str, range: Range<f64>) {
    let part = inspection.parts.iter().find(|p| p.name == part).unwrap();
    let billions = part.parameters as f64 / 1e9;
    assert!(range.contains(&billions), "{} of {}: {billions} billion parameters", part.name, part.origin);
}

fn check(name: &str, model_type: &str, language_model: Range<f64>) {
    let inspection = inspected(name);
    assert_eq!(inspection.model_type, model_type);
    assert_billions(&inspection, "SigLIP tower", 0.41..0.43);
    assert_billions(&inspection, "DINOv2 tower", 1.13..1.14);
    assert_billions(&inspection, "vision connector", 0.03..0.09);
    assert_billions(&inspection, "language model", language_model);
    assert_eq!((inspection.image_token_len, inspection.low_token_len, inspection.max_len), (144, 64, 8192));
    for part in &inspection.parts {
        assert!(part.stored.is_empty(), "{name}: {} has weights beside its configuration", part.name);
    }
    // The towers are those of the folder, not some that lie beside it or on the Hub.
    for part in &inspection.parts[..2] {
        assert!(Path::new(&part.origin).parent().unwrap().ends_with(name), "{name}: tower from {}", part.origin);
    }
}

#[test]
fn llama3_2_1b() {
    check("longvu_llama3_2_1b", "cambrian_llama", 1.23..1.24);
}

#[test]
fn llama3_2_3b() {
    check("longvu_llama3_2_3b", "cambrian_llama", 3.21..3.22);
}

#[test]
fn qwen2_7b() {
    check("longvu_qwen2_7b", "cambrian_qwen", 7.61..7.62);
}
