//! `longvu ask` when all is well.

use std::process::Stdio;

use crate::support::{ask, ffmpeg, golden, longvu, model, run, video};

#[test]
fn the_answer_is_the_reference_one_and_all_of_stdout() {
    let mut command = longvu();
    command.arg("ask").arg(video("video1.mp4")).arg("Describe this video in detail");
    command.env("LONGVU_MODEL", model()).args(["--dino-threshold", "0.79511", "--max-new-tokens", "20"]);
    let run = run(&mut command);
    assert!(
        run.stderr.starts_with("21 frames sampled, 12 kept, 11 at full resolution; 964 visual of 992"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stderr.lines().count(), 1, "no progress without a terminal: {}", run.stderr);
    for stage in ["load", "decode", "DINOv2", "temporal", "SigLIP", "aggregator", "prefill", "generate"] {
        assert!(run.stderr.contains(&format!("{stage} ")), "{stage}: {}", run.stderr);
    }
    assert_eq!(run.ok(), "\u{fffd}\u{a8}il\u{fffd}\u{1b}serSctr\u{fffd}=ring\u{5} feat[8\u{fffd} name feat\n");
}

#[test]
fn json_has_the_answer_and_its_numbers() {
    let run = run(ask(video("video3.mp4"), "What?").args(["--json", "--quiet"]));
    assert_eq!(run.stderr, "");
    let json = run.json();
    assert!(json["answer"].is_string());
    assert_eq!(json["visual_tokens"], 648);
    assert!(json["prompt_tokens"].as_u64().unwrap() > 648);
    assert_eq!(json["frames"], serde_json::json!({"sampled": 6, "repeated": 0, "kept": 6, "full_resolution": 6}));
    for stage in ["/timings/load", "/timings/encode/dinov2", "/timings/answer/generate", "/timings/total"] {
        assert!(json.pointer(stage).unwrap().as_f64().unwrap() >= 0.0, "{stage}");
    }
}

#[test]
fn a_seed_gives_the_same_draws_again() {
    let draw = |seed: &str| {
        let mut command = longvu();
        command.args(["ask", "--no-video", "Hi", "-q", "--temperature", "2", "--seed", seed, "-m"]).arg(model());
        run(&mut command).ok()
    };
    assert_eq!(draw("7"), draw("7"));
    assert_ne!(draw("7"), draw("8"));
}

#[test]
fn stop_strings_and_the_system_prompt_reach_the_model() {
    let answer = |more: &[&str]| {
        let mut command = longvu();
        command.args(["ask", "--no-video", "Hi", "-q", "--max-new-tokens", "12", "-m"]).arg(model()).args(more);
        run(&mut command).ok()
    };
    let whole = answer(&[]);
    let letter = whole.chars().filter(char::is_ascii_alphabetic).nth(2).unwrap().to_string();
    let stopped = answer(&["--stop", &letter]);
    assert_eq!(stopped.trim_end_matches('\n'), whole.split(&letter).next().unwrap());
    assert_ne!(answer(&["--system", "Answer in French."]), whole);
}

#[test]
fn an_image_is_asked_about_like_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("picture.png");
    ffmpeg("-f lavfi -i testsrc=size=160x120 -frames:v 1", &image);
    let json = run(ask(&image, "What is this?").arg("--json")).json();
    assert_eq!(json["frames"]["sampled"], 1);
    assert!(json["visual_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn sampling_flags_choose_the_frames() {
    let json = run(ask(video("video3.mp4"), "What?").args(["--json", "--uniform", "2"])).json();
    assert_eq!(json["frames"]["sampled"], 2);
    let sampled = |more: &[&str]| {
        let json = run(longvu().arg("probe").arg(video("video3.mp4")).arg("--json").args(more)).json();
        json["sampled"].as_array().unwrap().len()
    };
    assert_eq!(sampled(&["--uniform", "2"]), 2);
    assert_eq!(sampled(&["--every", "100"]), 2);
    assert_eq!(sampled(&["--timestamps", "0:01.5,3"]), 2);
    assert_eq!(sampled(&["--start", "1", "--end", "0:03"]), 2);
    assert_eq!(sampled(&["--max-frames", "1"]), 1);
    assert_eq!(sampled(&["--preset", "mlvu"]), 3);
}

#[test]
fn towers_can_be_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let lone = folder.path().join("model");
    std::fs::create_dir(&lone).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(model().join(name), lone.join(name)).unwrap();
    }
    let mut command = longvu();
    command.args(["ask", "--no-video", "Hi", "--max-new-tokens", "2", "-m"]).arg(&lone);
    run(&mut command).fails(1, &["tower was not found", "--towers DIR"]);
    run(command.arg("--towers").arg(golden().join("checkpoint"))).ok();
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = ask(video("video3.mp4"), "What?").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_stdout_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = ask(video("video3.mp4"), "What?").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}
