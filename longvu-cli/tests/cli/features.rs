//! `longvu features`, and `longvu compress` on what it wrote.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

use crate::support::{ask, longvu, model, run, video};

const KEY: &str = "longvu_features";

fn features(file: impl AsRef<Path>, out: &Path) -> Command {
    let mut command = longvu();
    command.arg("features").arg(file.as_ref()).arg("--out").arg(out).arg("--model").arg(model());
    command
}

/// Features of six frames of 480 x 320, in a folder that lives as long as they.
fn saved() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.safetensors");
    run(&mut features(video("video3.mp4"), &path)).ok();
    (folder, path)
}

fn compress(file: &Path, flags: &str) -> Command {
    let mut command = longvu();
    command.arg("compress").arg(file).args(flags.split_whitespace());
    command
}

fn printed(file: &Path, flags: &str) -> Value {
    run(compress(file, flags).arg("--json")).json()
}

/// Tensors of a file by name, and the note about them.
type Tensors = HashMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn read(path: &Path) -> (Tensors, Option<String>) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let note = header.metadata().as_ref().and_then(|notes| notes.get(KEY).cloned());
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |view: &TensorView<'_>| (view.dtype(), view.shape().to_vec(), view.data().to_vec());
    (file.tensors().iter().map(|(name, view)| (name.clone(), tensor(view))).collect(), note)
}

fn write(path: &Path, tensors: &Tensors, note: Option<String>) {
    let views = tensors
        .iter()
        .map(|(name, (dtype, shape, bytes))| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    let notes = note.map(|note| HashMap::from([(KEY.to_owned(), note)]));
    fs::write(path, safetensors::serialize(views, notes).unwrap()).unwrap();
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

#[test]
fn features_are_those_that_encoding_makes() {
    let (folder, path) = saved();
    let (tensors, note) = read(&path);
    let shape = |name: &str| (tensors[name].0, tensors[name].1.clone());
    assert_eq!(shape("dinov2"), (Dtype::F32, vec![6, 576, 32]));
    assert_eq!(shape("siglip"), (Dtype::F32, vec![6, 576, 32]));
    assert_eq!(shape("timestamps"), (Dtype::F64, vec![6]));
    assert_eq!(shape("indices"), (Dtype::I64, vec![6]));
    let note: Value = serde_json::from_str(&note.unwrap()).unwrap();
    assert_eq!((&note["dimensions"], &note["notes"]["source"]), (&json!([480, 320]), &json!("video3.mp4")));

    let encoded = folder.path().join("clip.longvu");
    let mut encode = longvu();
    encode.arg("encode").arg(video("video3.mp4")).arg("--out").arg(&encoded).arg("--model").arg(model());
    run(&mut encode).ok();
    let (encoded, _) = read(&encoded);
    assert!(tensors["aggregated"] == encoded["features"], "the aggregator's cells are the same to the bit");
    assert!(tensors["timestamps"].2 == encoded["samples.timestamp"].2);
}

#[test]
fn the_temporal_stage_decides_as_in_a_run() {
    let (folder, path) = saved();
    let report = folder.path().join("report.json");
    let threshold = ["--temporal", "long-vu:threshold=0.999,always=true"];
    run(ask(video("video3.mp4"), "What?").args(threshold).arg("--report").arg(&report)).ok();
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let found = printed(&path, &threshold.join(" "));
    let kept = |frames: &Value, name: &str| -> Vec<Value> {
        frames.as_array().unwrap().iter().map(|frame| frame[name].clone()).collect()
    };
    assert_eq!(kept(&found["frames"], "kept"), kept(&report["sampled"], "temporal_kept"));
    assert_eq!(kept(&found["frames"], "temporal_score"), kept(&report["sampled"], "temporal_score"));
    assert_eq!(kept(&found["frames"], "timestamp"), kept(&report["sampled"], "timestamp"));
    assert!(found["seconds"]["temporal"].as_f64().unwrap() > 0.0 && found["tokens_after"].is_null(), "{found}");
}

#[test]
fn tokens_are_pruned_within_a_budget() {
    let (folder, path) = saved();
    let out = folder.path().join("kept.safetensors");
    let (all, _) = read(&path);
    let channels = all["aggregated"].1[2];
    for stage in ["long-vu", "evs", "dycoke", "vidcom2", "divprune"] {
        let flags = format!("--temporal uniform:max_frames=4 --spatial {stage} --budget 100");
        let found = printed(&path, &format!("{flags} --out {}", out.display()));
        let after = found["tokens_after"].as_u64().unwrap();
        assert!(after > 50 && after <= 100, "{stage}: {after}");
        assert_eq!(found["tokens_before"], 4 * 96, "12 x 8 cells show a picture of 3 : 2");
        let (kept, _) = read(&out);
        assert_eq!(kept["tokens"].1, [after as usize, channels], "{stage}");
        let frames = found["frames"].as_array().unwrap();
        let positions: Vec<u64> =
            frames.iter().filter(|f| !f["positions"].is_null()).flat_map(|f| numbers(&f["positions"])).collect();
        let written: Vec<u64> =
            kept["positions"].2.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as u64).collect();
        assert_eq!(positions, written, "{stage}");
        // The cells of a kept position are those of the features.
        let width = 4 * channels;
        let first = frames.iter().find(|frame| frame["kept"] == true).unwrap();
        let place = first["sample"].as_u64().unwrap() as usize * 144 + positions[0] as usize;
        assert!(kept["tokens"].2[..width] == all["aggregated"].2[place * width..][..width], "{stage}");
        let again = printed(&path, &flags);
        assert_eq!(again["frames"], found["frames"], "{stage} again");
    }
}

#[test]
fn frames_are_picked_by_scores_that_are_given() {
    let (folder, path) = saved();
    let scores = folder.path().join("scores.json");
    fs::write(&scores, "[0.1, 0.9, 0.2, 0.8, 0.3, -1]").unwrap();
    let with = |flags: &str| format!("{flags} --scores {}", scores.display());
    let resolutions = |found: &Value| -> Vec<Value> {
        found["frames"].as_array().unwrap().iter().map(|frame| frame["resolution"].clone()).collect()
    };
    // Six frames of 48 tokens at low resolution, and room for two of 96.
    let low = printed(&path, &with("--query long-vu --budget 400"));
    assert_eq!(resolutions(&low), ["low", "full", "low", "full", "low", "low"]);
    assert_eq!(
        (&low["tokens_after"], &low["frames"][3]["side"], &low["frames"][4]["side"]),
        (&json!(384), &json!(12), &json!(8))
    );
    // Room for three, of which none are raised: the others go.
    let picked = printed(&path, &with("--query long-vu:others=dropped --budget 300"));
    assert_eq!(resolutions(&picked), json!([null, "full", null, "full", "full", null]).as_array().unwrap()[..]);
    assert_eq!(picked["frames"][1]["query_score"].as_f64().unwrap() as f32, 0.9);
    // Scores of kept frames alone will do, too.
    fs::write(&scores, "[5, 1]").unwrap();
    let two = printed(&path, &with("--temporal uniform:max_frames=2 --query bolt --budget 100"));
    assert_eq!(resolutions(&two), json!(["full", null, null, null, null, null]).as_array().unwrap()[..]);
    // Choices that look at no score need none.
    let even = printed(&path, "--query uniform --budget 200");
    assert_eq!(resolutions(&even), json!(["full", null, null, "full", null, null]).as_array().unwrap()[..]);
    assert!(even["frames"][0]["query_score"].is_null());
}

#[test]
fn wrong_calls() {
    let (folder, path) = saved();
    let scores = folder.path().join("scores.json");
    let with = |flags: &str| format!("{flags} --scores {}", scores.display());
    fs::write(&scores, "[1, 2, 3]").unwrap();
    for (flags, code, part) in [
        ("".to_owned(), 2, "no stage is named"),
        ("--query bolt".into(), 2, "--scores"),
        ("--temporal uniform --budget 9".into(), 2, "add --query or --spatial"),
        ("--query uniform --spatial evs".into(), 2, "leave one out"),
        (with("--spatial evs"), 2, "leave them out"),
        (with("--query bolt"), 1, "3 scores for 6 sampled frames"),
        ("--query uniform --budget 9".into(), 1, "9 tokens fit, and 96 are needed"),
        ("--query uniform:others=low --budget 200".into(), 1, "288 are needed"),
        ("--temporal long-vu:threshold=-1".into(), 1, "keeps no frame"),
        ("--temporal mine".into(), 2, "there are long-vu, uniform"),
        ("--temporal uniform --scores nowhere.json".into(), 2, "leave them out"),
    ] {
        run(&mut compress(&path, &flags)).fails(code, &[part]);
    }
    for (text, part) in
        [("no", "is no list of scores"), ("[1, null]", "is no list of scores"), ("[1e39, 1]", "score 0 is too large")]
    {
        fs::write(&scores, text).unwrap();
        run(&mut compress(&path, &with("--query bolt"))).fails(1, &[part, "scores.json"]);
    }
    let over = format!("--temporal uniform --out {}", path.display());
    run(&mut compress(&path, &over)).fails(2, &["would overwrite it"]);
    run(&mut compress(&path, "--temporal uniform --out /nowhere/kept")).fails(1, &["cannot be written"]);
    run(&mut features(&path, &path)).fails(2, &["would overwrite it"]);
    run(&mut features("nowhere.mp4", &folder.path().join("none/a"))).fails(1, &["cannot be written"]);
}

#[test]
fn files_of_something_else_and_damaged_ones() {
    let (folder, path) = saved();
    let (tensors, note) = read(&path);
    let bad = folder.path().join("bad.safetensors");
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        write(&bad, &tensors, note.clone());
    };
    let refused = |flags: &str, parts: &[&str]| run(&mut compress(&bad, flags)).fails(1, parts);
    let temporal = "--temporal long-vu";

    changed(&|tensors| drop(tensors.remove("dinov2")));
    refused(temporal, &["bad.safetensors", "no tensor `dinov2`", "longvu features"]);
    run(&mut compress(&bad, "--spatial evs")).ok();
    changed(&|tensors| drop(tensors.remove("timestamps")));
    refused(temporal, &["no tensor `timestamps`"]);
    let channels = tensors["aggregated"].1[2];
    changed(&|tensors| tensors.get_mut("aggregated").unwrap().1 = vec![6, 72, 2 * channels]);
    refused(temporal, &["`aggregated` are F32 of the shape [6, 72, ", "[6 frames, side * side, channels]"]);
    changed(&|tensors| tensors.get_mut("dinov2").unwrap().1 = vec![3, 1152, 32]);
    refused(temporal, &["`dinov2`", "[3, 1152, 32]"]);
    changed(&|tensors| tensors.get_mut("timestamps").unwrap().0 = Dtype::I64);
    refused(temporal, &["`timestamps` are I64"]);
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        changed(&|tensors| {
            let bytes = &mut tensors.get_mut("dinov2").unwrap().2;
            let fourth = bytes.len() / 2;
            bytes[fourth..fourth + 4].copy_from_slice(&value.to_le_bytes());
        });
        refused(temporal, &["`dinov2`", shown, "frame 3"]);
    }
    write(&bad, &tensors, note.clone().map(|note| note.replace("\"version\":1", "\"version\":9")));
    refused(temporal, &["version is 9"]);
    write(&bad, &tensors, Some("{".into()));
    refused(temporal, &["metadata are damaged"]);
    write(&bad, &tensors, None);
    refused(temporal, &["holds no features"]);

    let bytes = fs::read(&path).unwrap();
    for (bytes, part) in
        [(&bytes[..bytes.len() / 2], "cut short"), (&bytes[..100], "cut short"), (b"a text", "no safetensors file")]
    {
        fs::write(&bad, bytes).unwrap();
        refused(temporal, &["bad.safetensors", part]);
    }
    run(&mut compress(&model().join("model.safetensors"), temporal)).fails(1, &["weights, perhaps"]);
    run(&mut compress(&folder.path().join("none"), temporal)).fails(1, &["none"]);
}

#[test]
fn an_image_has_features_and_no_stage() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, path) = (folder.path().join("picture.png"), folder.path().join("picture.safetensors"));
    crate::support::ffmpeg("-f lavfi -i testsrc=s=64x48 -frames:v 1", &picture);
    run(&mut features(&picture, &path)).ok();
    run(&mut compress(&path, "--spatial evs")).fails(2, &["features of an image"]);
}

/// A limit on the size of files stands for a disk that is full after some bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.safetensors");
    fs::write(&path, "the file before").unwrap();
    let limited = run(Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_longvu"), "features"])
        .arg(video("video3.mp4"))
        .args(["--uniform", "1", "-q", "--model"])
        .arg(model())
        .arg("--out")
        .arg(&path));
    limited.fails(1, &["clip.safetensors could not be written", "File too large"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the file before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}
