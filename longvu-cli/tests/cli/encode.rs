//! `longvu encode`, and `ask` and `chat` on what it wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::support::{ask, damaged_video, longvu, model, run, run_with, video};

fn encode(file: impl AsRef<Path>, out: &Path) -> Command {
    let mut command = longvu();
    command.arg("encode").arg(file.as_ref()).arg("--out").arg(out).arg("--model").arg(model());
    command
}

/// An encoded video in a folder that lives as long as it.
fn encoded() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    run(&mut encode(video("video3.mp4"), &path)).ok();
    (folder, path)
}

#[test]
fn the_answer_is_that_of_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    let made = run(&mut encode(video("video3.mp4"), &path));
    assert!(made.stderr.starts_with("6 frames sampled, 6 held; open "), "{}", made.stderr);
    assert!(made.stderr.contains(&format!("wrote {} (", path.display())), "{}", made.stderr);
    assert_eq!(made.ok(), "");
    // The name does not matter.
    let renamed = folder.path().join("anything.bin");
    fs::rename(&path, &renamed).unwrap();
    let report = folder.path().join("report.json");
    let from_file = run(ask(&renamed, "What?").arg("--report").arg(&report));
    assert!(from_file.stderr.contains("load ") && !from_file.stderr.contains("DINOv2"), "{}", from_file.stderr);
    assert_eq!(from_file.ok(), run(&mut ask(video("video3.mp4"), "What?")).ok());
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!(report["input"]["notes"]["source"], "video3.mp4");
    assert_eq!(report["sampled"].as_array().unwrap().len(), 6);
    assert!(report["input"]["notes"]["sampling"].as_str().unwrap().contains("fps"));
}

#[test]
fn a_chat_takes_it_and_pushes_no_position_twice() {
    let (_folder, path) = encoded();
    let mut command = longvu();
    command.arg("chat").arg(&path).args(["--max-new-tokens", "3", "--json", "-q", "-m"]).arg(model());
    let answers = run_with(&mut command, b"What is it?\nAnd then?\n").ok();
    let answers: Vec<serde_json::Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["cached_tokens"], 0);
    assert!(answers[1]["cached_tokens"].as_u64() > Some(10), "{}", answers[1]);
}

#[test]
fn settings_that_shaped_it_must_be_the_same() {
    let (_folder, path) = encoded();
    for (flags, parts) in [
        (&["--dtype", "bf16"][..], ["dtype f32", "--dtype"]),
        (&["--preset", "paper"], ["temporal stage", "--preset"]),
        (&["--dino-threshold", "0.5"], ["temporal stage", "--dino-threshold"]),
        (&["--max-len", "512"], ["1024", "--max-len"]),
    ] {
        run(ask(&path, "What?").args(flags)).fails(1, &parts);
    }
    run(ask(&path, "What?").args(["--drop-threshold", "0.5"])).ok();
    run(ask(&path, "What?").args(["--fps", "2"])).fails(2, &["--fps cannot change an encoded video"]);
}

/// Frames that are taken for others are counted and told of, and are a setting that shaped what was encoded.
#[test]
fn repeated_frames_are_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    let towers = |dinov2, dinov2_repeats, siglip, siglip_repeats| json!({"dinov2": dinov2, "dinov2_repeats": dinov2_repeats, "siglip": siglip, "siglip_repeats": siglip_repeats});
    let off = run(encode(video("video3.mp4"), &path).args(["--json", "--repeats", "off"])).json();
    assert_eq!((&off["towers"], &off["warnings"]), (&towers(6, 0, 6, 0), &json!([])));
    run(&mut ask(&path, "What?")).ok();

    let made = run(encode(video("video3.mp4"), &path).args(["--json", "--repeats", "255"]));
    assert!(made.stderr.contains("6 frames sampled, 5 of them repeats, 6 held; open "), "{}", made.stderr);
    let remark = "5 of 6 frames were taken for an earlier one that differs by at most 255 of 255 levels";
    assert!(made.stderr.contains(&format!("video3.mp4: {remark}")), "{}", made.stderr);
    let made = made.json();
    assert_eq!((&made["towers"], &made["warnings"]), (&towers(1, 5, 1, 5), &json!([remark])));
    run(&mut ask(&path, "What?")).fails(1, &["difference of 255 levels", "--repeats LEVELS"]);
    let report = folder.path().join("report.json");
    let asked = run(ask(&path, "What?").args(["--json", "--repeats", "255", "--report"]).arg(&report)).json();
    assert_eq!((&asked["frames"]["repeated"], &asked["warnings"]), (&json!(5), &json!([remark])));
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["towers"], &report["model"]["repeats"]), (&towers(1, 5, 1, 5), &json!("255")));

    for levels in ["256", "-1", "1.5", "on", ""] {
        let flag = format!("--repeats={levels}");
        run(encode(video("video3.mp4"), &path).arg(flag)).fails(2, &["--repeats", "from 0 to 255, or off"]);
    }
}

#[test]
fn files_that_cannot_be_used() {
    let (folder, path) = encoded();
    run(longvu().arg("probe").arg(&path)).fails(1, &["clip.longvu is an encoded video", "longvu ask"]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    run(&mut ask(&path, "What?")).fails(1, &["clip.longvu", "cut short", "longvu encode"]);
    fs::write(&path, "a text").unwrap();
    run(&mut ask(&path, "What?")).fails(1, &["clip.longvu", "no encoded video"]);
    let other = folder.path().join("weights.safetensors");
    fs::copy(model().join("model.safetensors"), &other).unwrap();
    run(&mut ask(&other, "What?")).fails(1, &["weights.safetensors"]);
}

#[test]
fn impossible_places_are_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none/clip.longvu"), folder.path().to_owned(), "/dev/null".into()] {
        run(&mut encode("no-such-video.mp4", &path)).fails(1, &["the encoded video cannot be written to"]);
    }
    let path = folder.path().join("video.mp4");
    fs::copy(video("video3.mp4"), &path).unwrap();
    run(&mut encode(&path, &path)).fails(2, &["would overwrite it"]);
    let mut command = longvu();
    run(command.arg("encode").arg(&path).arg("-m").arg(model())).fails(2, &["--out"]);
}

/// A limit on the size of files stands for a disk that is full after some bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.longvu");
    fs::write(&path, "the file before").unwrap();
    let limited = run(Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_longvu"), "encode"])
        .arg(video("video3.mp4"))
        .args(["--uniform", "1", "-q", "--model"])
        .arg(model())
        .arg("--out")
        .arg(&path));
    limited.fails(1, &["clip.longvu could not be written", "File too large"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the file before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn warnings_are_kept() {
    let (folder, damaged) = damaged_video();
    let path = folder.path().join("clip.longvu");
    let json = run(encode(&damaged, &path).args(["--json", "--max-frames", "2"])).json();
    assert_eq!((&json["sampled"], &json["held"]), (&json!(2), &json!(2)));
    assert_eq!(json["bytes"], fs::metadata(&path).unwrap().len());
    assert!(!json["warnings"].as_array().unwrap().is_empty(), "{json}");
    let answered = run(ask(&path, "What?").arg("--json"));
    assert!(answered.stderr.contains("warning: "), "{}", answered.stderr);
    assert_eq!(answered.json()["warnings"], json["warnings"]);
}
