//! `longvu probe`, `inspect`, `devices`, `stages` and `synth`.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{ask, damaged_video, golden, longvu, model, run, video};

#[test]
fn probe_shows_what_would_be_sampled() {
    let json = run(longvu().arg("probe").arg(video("video3.mp4")).args(["--fps", "0.5", "--json"])).json();
    assert_eq!(json["kind"], "video");
    assert_eq!(json["video"]["frame_count"], 128);
    assert_eq!(json["dimensions"], json!([480, 320]));
    assert_eq!(json["sampling"]["sampling"]["fps"], 0.5);
    let frames: Vec<&Value> = json["sampled"].as_array().unwrap().iter().map(|frame| &frame["index"]).collect();
    assert_eq!(frames, [0, 50, 100]);
    assert_eq!(json["warnings"], json!([]));

    let page = run(longvu().arg("probe").arg(video("video1.mp4")).args(["--every", "2", "--decode"])).ok();
    assert!(page.contains("h264") && page.contains("568x320") && page.contains("301 sampled"), "{page}");
    assert!(page.contains("601 decoded; damaged: 0 packets"), "{page}");
    assert!(page.lines().count() < 40, "long lists are cut: {page}");
}

#[test]
fn probe_tells_of_damage() {
    let (_folder, path) = damaged_video();
    let json = run(longvu().arg("probe").arg(&path).args(["--decode", "--json"])).json();
    assert!(!json["warnings"].as_array().unwrap().is_empty(), "{json:#}");
    run(longvu().args(["probe", "nowhere.mp4"])).fails(1, &["no such file"]);
}

#[test]
fn inspect_shows_parts_and_memory() {
    let json = run(longvu().args(["inspect", "--model"]).arg(model()).arg("--json")).json();
    assert_eq!(json["model_type"], "cambrian_qwen");
    let parts = json["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 4);
    let parameters: u64 = parts.iter().map(|part| part["parameters"].as_u64().unwrap()).sum();
    assert_eq!(json["memory"]["bf16"]["weights"], parameters * 2);
    assert_eq!(json["memory"]["f32"]["weights"], parameters * 4);
    assert!(parts.iter().all(|part| part["stored"].as_object().is_some_and(|stored| !stored.is_empty())));

    let page = run(longvu().arg("inspect").env("LONGVU_MODEL", model())).ok();
    for part in ["SigLIP tower", "DINOv2 tower", "vision connector", "language model", "kv cache", "bf16"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    run(longvu().args(["inspect", "--model", "no/such/folder"])).fails(1, &["no/such/folder"]);
}

#[test]
fn devices_always_has_one() {
    assert!(!run(longvu().arg("devices")).ok().trim().is_empty());
    let json = run(longvu().args(["devices", "--json"])).json();
    assert!(json[0]["dtypes"].as_array().unwrap().contains(&json!("f32")));
}

#[test]
fn devices_tells_what_is_computed_with() {
    let devices = |setting: &str| run(longvu().args(["devices", "--json"]).env("LONGVU_KERNELS", setting));
    let kernels = |setting| devices(setting).json()[0]["kernels"].clone();
    let best = kernels("on");
    assert_eq!(best["used"], best["machine"], "{best}");
    for (setting, used) in [("off", "off"), ("portable", "portable")] {
        let kernels = kernels(setting);
        assert_eq!((&kernels["used"], &kernels["machine"]), (&json!(used), &best["machine"]));
        assert_eq!((&kernels["products"]["bf16"], &kernels["products"]["int8"]), (&json!("f32"), &json!("f32")));
    }
    let wrong = devices("sse9");
    assert!(wrong.stderr.contains("sse9") && wrong.stderr.contains("avx512-bf16"), "{}", wrong.stderr);
    assert_eq!(wrong.json()[0]["kernels"]["used"], best["machine"]);
}

/// Configurations of the small model, without weights.
fn configurations(folder: &Path) {
    for (from, to) in [("longvu_llama", ""), ("siglip", "siglip"), ("dinov2", "dinov2")] {
        let to = folder.join(to);
        fs::create_dir_all(&to).unwrap();
        for name in ["config.json", "preprocessor_config.json"] {
            let file = golden().join("checkpoint").join(from).join(name);
            if file.exists() {
                fs::copy(file, to.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn synth_writes_a_model_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (configs, out) = (folder.path().join("configs"), folder.path().join("out"));
    configurations(&configs);
    let synth = || run(longvu().arg("synth").arg(&configs).arg(&out).args(["--dtype", "bf16"]));
    let first = synth();
    assert!(first.stderr.starts_with("wrote "), "{}", first.stderr);
    assert_eq!(first.ok(), "");
    let mut command = longvu();
    command.arg("ask").arg(video("video3.mp4")).args(["What?", "--max-new-tokens", "4", "-q", "--uniform", "2", "-m"]);
    assert!(!run(command.arg(&out)).ok().is_empty());
    synth().fails(1, &["already exists"]);
}

#[test]
fn synth_says_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let (configs, out) = (folder.path().join("configs"), folder.path().join("out"));
    configurations(&configs);
    let written = run(longvu().arg("synth").arg(&configs).arg(&out).args(["--json", "--quiet"]));
    assert_eq!(written.stderr, "");
    let json = written.json();
    assert_eq!((&json["folder"], &json["dtype"]), (&json!(out.to_str()), &json!("bf16")));
    assert!(json["bytes"].as_u64() > Some(1000), "{json}");
}

#[cfg(target_os = "linux")]
#[test]
fn synth_leaves_nothing_behind_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (configs, out) = (folder.path().join("configs"), folder.path().join("out"));
    configurations(&configs);
    let limited = run(std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" synth \"$@\"", env!("CARGO_BIN_EXE_longvu")])
        .arg(&configs)
        .arg(&out));
    limited.fails(1, &["model.safetensors"]);
    assert!(!out.exists());
    fs::remove_file(configs.join("siglip/config.json")).unwrap();
    run(longvu().arg("synth").arg(&configs).arg(&out)).fails(1, &["SigLIP tower was not found"]);
    assert!(!out.exists());
}

/// Every stage that is listed can be asked with, and the report says which it was.
#[test]
fn stages_are_listed_and_can_be_named() {
    let listed = run(longvu().args(["stages", "--json"])).json();
    let page = run(longvu().arg("stages")).ok();
    let report = tempfile::tempdir().unwrap().path().with_extension("json");
    for place in ["temporal", "query", "spatial", "decoder"] {
        for stage in listed[place].as_array().unwrap() {
            let name = stage["name"].as_str().unwrap();
            assert!(page.contains(name), "{page}");
            let mut command = ask(video("video3.mp4"), "What?");
            command.args(["--uniform", "9", "--max-len", "900", &format!("--{place}"), name, "--report"]).arg(&report);
            run(&mut command).ok();
            let written: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
            assert_eq!(written["model"][place], name);
        }
    }
    fs::remove_file(&report).unwrap();
    let few = |spatial| {
        let mut command = ask(video("video3.mp4"), "What?");
        let flags = ["--uniform", "9", "--budget", "300", "--temporal", "uniform", "--spatial", spatial, "--json"];
        run(command.args(flags)).json()["visual_tokens"].as_u64().unwrap()
    };
    assert!((150..=300).contains(&few("evs")) && few("evs:q=0.9") < few("evs"));
    run(ask(video("video3.mp4"), "What?").args(["--query", "blot"])).fails(2, &["bolt", "--query"]);
    run(ask(video("video3.mp4"), "What?").args(["--spatial", "evs:p=1"])).fails(2, &["no setting `p`", "q"]);
}
