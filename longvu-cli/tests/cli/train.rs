//! `longvu train`, `longvu bench-accuracy` and `longvu demo` on the small golden checkpoint.

use std::{fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Run, longvu, model, run, video};

/// Fine-tuning for two steps on one video, whose record has this question.
fn train(folder: &Path, question: &str) -> Run {
    run(&mut training(folder, (question, "To the right.")))
}

fn training(folder: &Path, (question, answer): (&str, &str)) -> std::process::Command {
    let record = json!({
        "id": "ball", "video": "video3.mp4",
        "conversations": [{ "from": "human", "value": question }, { "from": "gpt", "value": answer }]
    });
    let data = folder.join("data.json");
    fs::write(&data, json!([record]).to_string()).unwrap();
    let mut command = longvu();
    command.arg("train").arg(folder.join("run")).arg("--model").arg(model()).arg("--media").arg(video(""));
    command.arg("--data").arg(&data).arg("--validation").arg(&data);
    command.args(["--max-frames", "2", "--steps", "2", "--accumulation", "1", "--lr", "1e-3", "--dtype", "f32"]);
    command
}

/// An answer that is longer than the window is refused before anything is computed with it.
#[test]
fn answers_longer_than_the_window_are_refused() {
    let folder = TempDir::new().unwrap();
    let long = "To the right and back again. ".repeat(2000);
    let started = std::time::Instant::now();
    let refused = run(&mut training(folder.path(), ("<image>\nWhere does the ball move?", &long)));
    refused.fails(1, &["sample 0", "tokens of questions and answers", "window of 1024"]);
    assert!(started.elapsed().as_secs() < 20);
}

#[test]
fn counts_beyond_all_bounds_are_refused() {
    let folder = TempDir::new().unwrap();
    for (flags, part) in [
        (["--accumulation", "4294967296"], "accumulation"),
        (["--batch-size", "4294967296"], "micro_batch"),
        (["--steps", "1152921504606846976"], "steps"),
    ] {
        let mut command = longvu();
        command.arg("train").arg(folder.path().join("run")).arg("--model").arg(model());
        run(command.args(flags)).fails(2, &[part, flags[1]]);
    }
    let mut command = training(folder.path(), ("<image>\nWhere?", "There."));
    run(command.args(["--workers", "4294967296"])).fails(1, &["workers", "4294967296"]);
    let mut command = training(folder.path(), ("<image>\nWhere?", "There."));
    run(command.args(["--checkpoint-minutes", "18446744073709551615", "--max-minutes", "18446744073709551615"])).ok();
}

/// The second run says that the first is at work, and the first goes on.
#[test]
fn two_runs_in_one_folder() {
    let folder = TempDir::new().unwrap();
    let run_folder = folder.path().join("run");
    fs::create_dir(&run_folder).unwrap();
    let held = longvu::checkpoint::atomic::FolderLock::try_new(&run_folder).unwrap();
    assert!(held.is_some());
    let question = "<image>\nWhere does the ball move?";
    train(folder.path(), question).fails(1, &["run: another training run works in this folder"]);
    drop(held);
    let json = run(training(folder.path(), (question, "To the right.")).arg("--json")).json();
    assert!(json["model"].as_str().unwrap().ends_with("run/model"), "{json}");
}

#[test]
fn a_fine_tuned_model_answers() {
    let folder = TempDir::new().unwrap();
    let trained = train(folder.path(), "<image>\nWhere does the ball move?");
    assert!(trained.stderr.contains("language 2/2: loss"), "{}", trained.stderr);
    let out = trained.ok();
    let out = Path::new(out.trim());
    assert!(out.ends_with("run/model") && out.join("siglip/model.safetensors").is_file());
    assert!(["loss.svg", "held-out.svg"].iter().all(|curves| folder.path().join("run").join(curves).is_file()));
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert_ne!(weights(out), weights(&model()), "nothing was learnt");
    let mut ask = longvu();
    ask.arg("ask").arg(video("video3.mp4")).args(["Where?", "--uniform", "1", "--max-new-tokens", "2", "-q", "-m"]);
    run(ask.arg(out)).ok();
}

#[test]
fn data_that_cannot_be_used_is_named() {
    let folder = TempDir::new().unwrap();
    train(folder.path(), "Where does it move?").fails(1, &["data.json", "record 1 (`ball`)", "<image>"]);
    assert!(!folder.path().join("run/model").exists());
    let mut scratch = longvu();
    scratch.arg("train").arg(folder.path().join("run")).arg("--from-scratch").arg("--model").arg(model());
    run(&mut scratch).fails(2, &["--recipe"]);
}

#[test]
fn accuracy_is_measured_for_every_method() {
    let folder = TempDir::new().unwrap();
    let mut command = longvu();
    command.arg("bench-accuracy").arg(folder.path()).arg("--model").arg(model());
    command.args(["--videos", "1", "--seconds", "3", "--kind", "single", "--budgets", "400", "--quiet"]);
    let shown = run(&mut command).ok();
    assert_eq!(shown.lines().count(), 1 + 19, "{shown}");
    let csv = fs::read_to_string(folder.path().join("accuracy.csv")).unwrap();
    assert!(
        csv.starts_with("method,budget,kind,questions,right,accuracy,visual_tokens,low,high,encode_seconds,"),
        "{csv}"
    );
    assert!(["uniform,400,", "random,400,", "everything,0,", ",all,"].iter().all(|part| csv.contains(part)), "{csv}");
    assert!(fs::read_to_string(folder.path().join("accuracy-all.svg")).unwrap().contains("visual tokens"));
    let rows = run(command.args(["--methods", "uniform", "--json"])).json();
    assert!(rows[0]["method"] == "uniform" && rows[0]["budget"] == 400, "{rows}");
    let named = ["--temporal", "uniform", "--spatial", "divprune:chunk=4,retained=0.5"];
    let rows = run(command.args(named)).json();
    let methods: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert!(methods.contains(&"temporal=uniform spatial=divprune:chunk=4,retained=0.5"), "{methods:?}");
    assert!(
        rows[0]["low"].as_f64() <= rows[0]["accuracy"].as_f64() && rows[0]["seconds"]["prompt"].as_f64() > Some(0.0)
    );

    let mut command = longvu();
    command.arg("bench-accuracy").arg(folder.path()).args(["--seconds", "0", "--model"]).arg(model());
    run(&mut command).fails(2, &["seconds"]);
}

#[test]
fn a_demonstration_leaves_a_video_and_a_picture() {
    let folder = TempDir::new().unwrap();
    let mut command = longvu();
    command.arg("demo").arg(folder.path().join("out")).args(["--seconds", "12", "--seed", "3", "--model"]).arg(model());
    let shown = run(&mut command);
    assert!(shown.stderr.contains("demo.png"), "{}", shown.stderr);
    let answers = shown.ok();
    assert!(answers.contains("truth: ") && answers.trim_end().ends_with("right"), "{answers}");
    let png = fs::read(folder.path().join("out/demo.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG") && folder.path().join("out/demo.mp4").is_file());

    let json = run(command.args(["--json", "--quiet"])).json();
    let asked = json["answers"].as_array().unwrap();
    let right = asked.iter().filter(|asked| asked["right"] == true).count();
    assert!(json["right"] == right && asked.iter().all(|asked| answers.contains(asked["answer"].as_str().unwrap())));
}
