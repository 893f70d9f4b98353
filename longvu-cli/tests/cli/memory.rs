//! Forecasts of memory: what they say, what they prevent, and how near they are to what is measured.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{ask, longvu, longvu_that_checks_memory, model, run, video};

fn configs(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(name)
}

fn plan(name: &str, arguments: &[&str]) -> Value {
    run(longvu().args(["plan", "--model"]).arg(configs(name)).args(arguments).arg("--json")).json()
}

#[test]
fn plan_shows_steps_and_what_would_fit() {
    let mut command = longvu();
    command.args(["plan", "--model"]).arg(configs("longvu_qwen2_7b")).args([
        "--video",
        "1h",
        "--device-memory",
        "24GiB",
    ]);
    let page = run(&mut command).ok();
    for part in ["3600 frames of 1920x1080", "DINOv2", "kv cache", "prompt", "does not fit in 24.0 GiB", "--dtype bf16"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.lines().all(|line| line.len() <= 150), "{page}");
    let fitting = run(command.args(["--dtype", "bf16"])).ok();
    assert!(fitting.contains("fits in 24.0 GiB") && !fitting.contains("what would fit"), "{fitting}");
}

#[test]
fn plan_takes_files_lengths_and_absent_devices() {
    let json = plan("longvu_llama3_2_1b", &["--video", "10m", "--fps", "0.5", "--device", "cuda:0"]);
    assert_eq!((&json["workload"]["frames"], &json["settings"]["compute"]), (&json!(300), &json!("gpu")));
    assert_eq!((&json["settings"]["tower_batch"], &json["fits"]), (&json!(8), &Value::Null));
    let file = video("video3.mp4");
    let json = plan("longvu_llama3_2_1b", &["--video", file.to_str().unwrap()]);
    assert_eq!(json["workload"]["frames"], 6);
    assert_eq!((&json["workload"]["width"], &json["workload"]["height"]), (&json!(480), &json!(320)));
    let fail = |arguments: &[&str], code, parts: &[&str]| {
        run(longvu().args(["plan", "--model"]).arg(configs("longvu_qwen2_7b")).args(arguments)).fails(code, parts);
    };
    fail(&["--video", "1parsec"], 1, &["1parsec"]);
    fail(&["--device-memory", "24 bananas"], 2, &["24GiB"]);
    fail(&["--fps", "-1"], 2, &["fps"]);
    fail(&["--device", "cuda", "--quantize", "int4"], 2, &["--quantize"]);
}

#[test]
fn ask_and_chat_refuse_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let model = synthetic(folder.path(), "bf16");
    let file = video("video3.mp4");
    let report = folder.path().join("out.json");
    let limited = |command: &str, more: &[&str]| {
        let mut run = longvu_that_checks_memory();
        run.arg(command).arg(&file).args(more).arg("--model").arg(&model).args(["--device-memory", "300MiB"]);
        run
    };
    let started = std::time::Instant::now();
    let parts = ["300 MiB can be had", "what would fit", "--dtype bf16"];
    let mut asked = limited("ask", &["What?"]);
    run(asked.arg("--report").arg(&report)).fails(1, &parts);
    assert!(started.elapsed().as_secs() < 30 && !report.exists());
    run(&mut limited("chat", &[])).fails(1, &parts);
    // What the advice says does.
    run(limited("ask", &["What?", "--dtype", "bf16", "--max-new-tokens", "1", "--uniform", "1"]).arg("--low-memory"))
        .ok();
    let mut tiny = ask(&file, "What?");
    tiny.env_remove("LONGVU_NO_MEMORY_CHECK");
    run(tiny.args(["--device-memory", "1MiB"])).fails(1, &["no setting fits"]);
    run(tiny.arg("--no-memory-check")).ok();
}

/// Encoding needs no room for a language model that it does not load.
#[test]
fn encoding_is_not_refused_for_the_language_model() {
    let folder = tempfile::tempdir().unwrap();
    let (model, file, out) = (synthetic(folder.path(), "bf16"), video("video3.mp4"), folder.path().join("clip.longvu"));
    let limited = |command: &mut std::process::Command| {
        command.args(["--uniform", "1", "-q", "--device-memory", "330MiB", "--model"]).arg(&model);
        run(command)
    };
    limited(longvu_that_checks_memory().arg("ask").arg(&file).arg("What?")).fails(1, &["330 MiB can be had"]);
    limited(longvu_that_checks_memory().arg("encode").arg(&file).arg("-o").arg(&out)).ok();
}

/// Numbers that no memory holds are no small numbers.
#[test]
fn forecasts_do_not_wrap_around() {
    for arguments in [
        &["--max-new-tokens", "1152921504606846976"][..],
        &["--max-new-tokens", "18446744073709551615"],
        &["--max-len", "18446744073709551615"],
        &["--tower-batch", "18446744073709551615", "--video", "1h"],
        &["--video", "99999999999h"],
    ] {
        let mut command = longvu();
        command
            .args(["plan", "--model"])
            .arg(configs("longvu_qwen2_7b"))
            .args(["--device-memory", "24GiB"])
            .args(arguments);
        let run = run(&mut command);
        assert!(run.code == 1 || run.code == 2 || run.stdout.contains("does not fit"), "{arguments:?}: {}", run.stdout);
        assert!(!run.stderr.contains("broke down"), "{}", run.stderr);
    }
}

/// Configurations of some 90 million parameters, as the published ones but for widths and depths, with weights.
fn synthetic(folder: &Path, dtype: &str) -> std::path::PathBuf {
    let (small, out) = (folder.join(format!("configs-{dtype}")), folder.join(format!("model-{dtype}")));
    let source = configs("longvu_qwen2_7b");
    let shrink = |name: &str, values: Value| {
        let mut config: Value = serde_json::from_slice(&fs::read(source.join(name)).unwrap()).unwrap();
        config.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        fs::create_dir_all(small.join(name).parent().unwrap()).unwrap();
        fs::write(small.join(name), config.to_string()).unwrap();
    };
    shrink(
        "config.json",
        json!({ "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 8,
            "vocab_size": 32000, "eos_token_id": 31999, "vision_hidden_size": 256, "connector_depth": 1 }),
    );
    shrink("dinov2/config.json", json!({ "hidden_size": 384, "num_hidden_layers": 8, "num_attention_heads": 6 }));
    shrink(
        "siglip/config.json",
        json!({ "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 6 }),
    );
    for tower in ["siglip", "dinov2"] {
        let name = format!("{tower}/preprocessor_config.json");
        fs::copy(source.join(&name), small.join(&name)).unwrap();
    }
    run(longvu().arg("synth").arg(&small).arg(&out).args(["-q", "--dtype", dtype])).ok();
    out
}

/// Bytes forecast and measured, of a run whose report is written to `folder`, less what any run takes.
#[cfg(target_os = "linux")]
fn forecast_and_peak(folder: &Path, command: &mut std::process::Command) -> (f64, f64) {
    let report = |command: &mut std::process::Command| -> Value {
        let path = folder.join("report.json");
        run(command.arg("--report").arg(&path)).ok();
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
    };
    let peak = |report: &Value| report["memory"]["peak"].as_f64().unwrap();
    let mut text = longvu();
    text.args(["ask", "--no-video", "What?", "--max-new-tokens", "2", "--model"]).arg(model());
    let program = peak(&report(&mut text));
    let report = report(command);
    let forecast = &report["memory"]["forecast"];
    let allowed = forecast["stages"][0]["items"][0]["bytes"].as_f64().unwrap();
    assert!(program <= allowed, "the program alone takes {program}, {allowed} are allowed for");
    (forecast["peak"].as_f64().unwrap() - allowed, peak(&report) - program)
}

#[test]
#[cfg(target_os = "linux")]
fn forecasts_are_near_what_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    for (stored, arguments) in [
        ("f32", &["--dtype", "f32"][..]),
        ("bf16", &["--dtype", "f32"]),
        ("bf16", &["--dtype", "bf16"]),
        ("bf16", &["--dtype", "f32", "--low-memory"]),
    ] {
        let model = folder.path().join(format!("model-{stored}"));
        let model = if model.exists() { model } else { synthetic(folder.path(), stored) };
        let mut command = longvu();
        command.arg("ask").arg(video("video3.mp4")).args(["What?", "--uniform", "4", "--max-new-tokens", "2"]);
        let (forecast, peak) = forecast_and_peak(folder.path(), command.args(arguments).arg("--model").arg(model));
        let ratio = forecast / peak;
        assert!((1.0..=1.35).contains(&ratio), "{stored} {arguments:?}: {forecast} forecast, {peak} measured: {ratio}");
    }
}

/// Converting takes a block of a file and not the file.
#[test]
#[cfg(target_os = "linux")]
fn loading_takes_the_weights_and_little_else() {
    let folder = tempfile::tempdir().unwrap();
    for (stored, wanted) in [("bf16", "f32"), ("f32", "bf16"), ("f32", "f32")] {
        let model = folder.path().join(format!("model-{stored}"));
        let model = if model.exists() { model } else { synthetic(folder.path(), stored) };
        let mut command = longvu();
        command.args(["ask", "--no-video", "What?", "--max-new-tokens", "1", "--dtype", wanted, "--model"]).arg(&model);
        let (_, peak) = forecast_and_peak(folder.path(), &mut command);
        let plan = run(longvu().args(["plan", "--model"]).arg(&model).args(["--dtype", wanted, "--json"])).json();
        let weights: f64 = plan["weights"].as_object().unwrap().values().map(|bytes| bytes.as_f64().unwrap()).sum();
        let beyond = (peak - weights) / f64::from(1 << 20);
        assert!((-8.0..48.0).contains(&beyond), "{stored} as {wanted}: {beyond} MiB beyond {weights} bytes of weights");
    }
}
