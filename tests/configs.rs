//! The published sizes in `configs/` are complete, consistent, and have the published parameter counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{ops::Range, path::Path};

use longvu::{Inspection, ModelFiles, checkpoint::RepoOptions, inspect, text::chain};

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

/// A folder with the configuration of a small model, whose towers are called `towers` in it, and without them.
fn model(folder: &Path, towers: [&str; 2], changes: serde_json::Value) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoint/longvu_qwen/config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    config["mm_vision_tower_aux_list"] = serde_json::json!(towers);
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Puts the configurations of a small tower, `siglip` or `dinov2`, into the new folder `to`.
fn tower(name: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in ["config.json", "preprocessor_config.json"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoint").join(name).join(file);
        std::fs::copy(golden, to.join(file)).unwrap();
    }
}

#[test]
fn names_of_towers_do_not_lead_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    let [siglip, dinov2] = ["siglip", "dinov2"].map(|name| outside.join(name));
    tower("siglip", &siglip);
    tower("dinov2", &dinov2);
    let inside = folder.path().join("models/model");
    for towers in [
        [siglip.to_str().unwrap(), dinov2.to_str().unwrap()],
        ["../../outside/siglip", "../../outside/dinov2"],
        // From the working directory.
        ["tests/golden/checkpoint/siglip", "tests/golden/checkpoint/dinov2"],
        ["./tests/golden/checkpoint/siglip", "./tests/golden/checkpoint/dinov2"],
    ] {
        model(&inside, towers, serde_json::json!({}));
        let find = |towers: Option<&Path>| ModelFiles::find(inside.to_str().unwrap(), towers, &RepoOptions::default());
        let error = chain(&find(None).unwrap_err());
        assert!(
            error.contains("SigLIP tower was not found: looked for ") && error.contains("models/model/siglip"),
            "{error}"
        );
        assert!(error.contains("elsewhere is not followed"), "{error}");
        // The user's own word counts.
        let found = find(Some(&outside)).unwrap();
        assert_eq!(found.siglip.repo.as_folder(), Some(siglip.as_path()));
        assert_eq!(found.dinov2.repo.as_folder(), Some(dinov2.as_path()));
    }
    // What others called their folders does no harm where the towers are where they belong.
    tower("siglip", &inside.join("siglip"));
    tower("dinov2", &inside.parent().unwrap().join("dinov2"));
    model(&inside, ["/home/somebody/siglip", "../towers/dinov2-res378"], serde_json::json!({}));
    let found = ModelFiles::find(inside.to_str().unwrap(), None, &RepoOptions::default()).unwrap();
    assert!(found.siglip.repo.as_folder().unwrap().ends_with("model/siglip"));
    assert!(found.dinov2.repo.as_folder().unwrap().ends_with("models/dinov2"));
}

/// Prints where the towers of `owner/model` are, for the test below.
#[test]
#[ignore = "started by another test"]
#[allow(clippy::print_stdout)]
fn finder() {
    match ModelFiles::find("owner/model", None, &RepoOptions::default()) {
        Ok(files) => println!("\nfound {} {}", files.siglip.repo.describe(), files.dinov2.repo.describe()),
        Err(error) => println!("\nfailed {}", chain(&error)),
    }
}

#[test]
fn towers_in_folders_of_the_model_s_repository_are_found_offline() {
    let home = tempfile::tempdir().unwrap();
    let find = || {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "finder", "--ignored", "--nocapture"]).current_dir(home.path());
        for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
            command.env_remove(name);
        }
        let output = command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", home.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("found") || line.starts_with("failed")).unwrap().to_owned()
    };
    let repository = home.path().join("hub/models--owner--model");
    std::fs::create_dir_all(repository.join("refs")).unwrap();
    std::fs::write(repository.join("refs/main"), "0".repeat(40)).unwrap();
    let snapshot = repository.join("snapshots").join("0".repeat(40));
    model(&snapshot, ["siglip/CLIP-ViT-SO400M-14-384", "facebook/dinov2-giant-res378"], serde_json::json!({}));
    let error = find();
    for place in ["owner/model/siglip", "owner/model/google/siglip-so400m-patch14-384", "google/siglip-so400m"] {
        assert!(error.contains(place), "{error}");
    }
    tower("siglip", &snapshot.join("siglip"));
    tower("dinov2", &snapshot.join("dinov2-giant"));
    assert_eq!(find(), "found owner/model/siglip owner/model/dinov2-giant");
}

#[test]
fn a_model_larger_than_the_disk_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (sizes, out) = (folder.path().join("sizes"), folder.path().join("out"));
    let vast = serde_json::json!({"vocab_size": 1 << 21, "hidden_size": 1 << 18, "num_attention_heads": 4, "head_dim": 16,
        "num_key_value_heads": 4, "intermediate_size": 8, "num_hidden_layers": 1, "tie_word_embeddings": true});
    for (changes, expected) in [
        (vast, "bytes, and the disk has"),
        (serde_json::json!({"vocab_size": 738_197_504}), "`vocab_size` is 738197504"),
        (serde_json::json!({"vocab_size": 1u64 << 60}), "`vocab_size` is 1152921504606846976"),
    ] {
        model(&sizes, ["siglip", "dinov2-res378"], changes);
        tower("siglip", &sizes.join("siglip"));
        tower("dinov2", &sizes.join("dinov2"));
        let error =
            chain(&longvu::synthesize(&sizes, &out, longvu::Dtype::F32, &longvu::Watch::default()).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn an_input_without_a_patch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    tower("siglip", &folder.path().join("siglip"));
    tower("dinov2", &folder.path().join("dinov2"));
    for (side, expected) in
        [("1", "1 x 1 pixels has 0 patches"), ("8000", "has 326041 patches of 14"), ("9000", "9000 pixels")]
    {
        model(folder.path(), ["siglip", &format!("dinov2-res{side}")], serde_json::json!({}));
        let error = ModelFiles::find(folder.path().to_str().unwrap(), None, &RepoOptions::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("mm_vision_tower_aux_list"), "{error}");
    }
}
