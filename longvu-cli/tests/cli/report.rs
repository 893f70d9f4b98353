//! `longvu ask --report`.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{ask, model, run, video};

#[test]
fn everything_known_about_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let answer = run(ask(video("video3.mp4"), "What?").arg("--report").arg(&path)).ok();
    let report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(format!("{}\n", report["answer"]["text"].as_str().unwrap()), answer);
    for field in [
        "/longvu",
        "/model/stages/temporal/threshold",
        "/model/budget/max_len",
        "/memory/forecast/peak",
        "/input/video/average_fps",
        "/input/sampling/sampling/fps",
        "/input/decode/decoded",
        "/sampled/5/timestamp",
        "/sampled/5/temporal_score",
        "/sampled/5/selected",
        "/sampled/5/tokens",
        "/fusion/tokens_after",
        "/generation/max_new_tokens",
        "/question",
        "/answer/prompt_tokens",
        "/timings/encode/siglip",
        "/timings/total",
        "/warnings",
    ] {
        assert!(report.pointer(field).is_some_and(|value| !value.is_null()), "{field}: {report:#}");
    }
    let tokens: u64 = report["sampled"].as_array().unwrap().iter().map(|f| f["tokens"].as_u64().unwrap()).sum();
    assert_eq!(tokens, 648);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn what_left_the_language_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    let decoder = ["--decoder", "fastv:k=1,r=0.25"];
    let told = |flags: &[&str]| -> Value {
        run(ask(video("video3.mp4"), "What?").args(flags).arg("--report").arg(&path)).ok();
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
    };
    let report = told(&decoder);
    let found = &report["answer"]["decoder"];
    assert_eq!(report["model"]["decoder"], decoder[1]);
    assert_eq!((found["visual_tokens"].as_u64(), found["kept_tokens"].as_u64()), (Some(648), Some(486)));
    assert_eq!(found["kept"].as_array().unwrap().len(), 486);
    let bytes = |name: &str| found[name].as_u64().unwrap();
    assert!(bytes("cache_bytes") < bytes("whole_cache_bytes"), "{found}");
    assert!(told(&[])["answer"]["decoder"].is_null() && told(&["--decoder", "none"])["answer"]["decoder"].is_null());
    run(ask(video("video3.mp4"), "What?").args(["--decoder", "fastv:k=9"]))
        .fails(1, &["after 9 layers of 3", "--decoder"]);
    run(ask(video("video3.mp4"), "What?").args(["--decoder", "fastv:q=1"])).fails(2, &["it has k, r"]);
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none/out.json"), folder.path().to_owned()] {
        run(ask(video("video3.mp4"), "What?").arg("--report").arg(&path)).fails(1, &["cannot be written to"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_after_the_answer() {
    let run = run(ask(video("video3.mp4"), "What?").args(["--report", "/dev/full"]));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.len() > 1, "the answer comes first");
    assert!(run.stderr.contains("error: the report could not be written to /dev/full"), "{}", run.stderr);
    assert!(run.stderr.contains("No space left on device"), "{}", run.stderr);
    assert!(!fs::metadata("/dev/full").unwrap().is_file(), "the device is still one");
}

/// A limit on the size of files stands for a disk that is full after some bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    fs::write(&path, "the report before").unwrap();
    let run = run(Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_longvu"), "ask"])
        .arg(video("video3.mp4"))
        .args(["What?", "--max-new-tokens", "4", "--model"])
        .arg(model())
        .arg("--report")
        .arg(&path));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stdout.len() > 1, "the answer comes first");
    assert!(run.stderr.contains("error: the report could not be written"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the report before");
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(names(folder.path()), 1, "no temporary file is left");
}
