//! Model folders with something missing or wrong, devices that are not there, questions that do not fit.

use std::fs;

use serde_json::json;

use crate::support::{ModelCopy, ask, longvu, run, video};

#[test]
fn the_copy_itself_is_fine() {
    ModelCopy::new().ask().ok();
}

#[test]
fn no_such_model() {
    let mut command = longvu();
    run(command.args(["ask", "--no-video", "Hi", "-m", "no/such/folder"])).fails(1, &["no/such/folder", "Hub id"]);
    let mut command = longvu();
    let empty = tempfile::tempdir().unwrap();
    run(command.args(["ask", "--no-video", "Hi", "-m", "none/cached"]).env("HF_HOME", empty.path()))
        .fails(1, &["none/cached", "HF_HUB_OFFLINE"]);
}

#[test]
fn without_a_config() {
    let copy = ModelCopy::new();
    fs::remove_file(copy.file("config.json")).unwrap();
    copy.ask().fails(1, &["config.json", "not found"]);
}

#[test]
fn a_config_that_is_no_json() {
    let copy = ModelCopy::new();
    fs::write(copy.file("config.json"), "{").unwrap();
    copy.ask().fails(1, &["config.json"]);
}

#[test]
fn without_a_tokenizer() {
    let copy = ModelCopy::new();
    fs::remove_file(copy.file("tokenizer.json")).unwrap();
    copy.ask().fails(1, &["tokenizer.json"]);
}

#[test]
fn without_weights() {
    let copy = ModelCopy::new();
    fs::remove_file(copy.file("model.safetensors")).unwrap();
    copy.ask().fails(1, &["model.safetensors"]);
}

#[test]
fn without_a_shard_of_the_index() {
    let copy = ModelCopy::new();
    fs::rename(copy.file("model.safetensors"), copy.file("model-00001-of-00002.safetensors")).unwrap();
    let map = json!({
        "lm_head.weight": "model-00001-of-00002.safetensors",
        "model.norm.weight": "model-00002-of-00002.safetensors",
    });
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    fs::write(copy.file("model.safetensors.index.json"), index).unwrap();
    copy.ask().fails(1, &["model-00002-of-00002.safetensors"]);
}

#[test]
fn truncated_weights() {
    let copy = ModelCopy::new();
    let path = copy.file("model.safetensors");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1000]).unwrap();
    copy.ask().fails(1, &["model.safetensors", "not a readable weights file"]);
    fs::write(&path, &whole[..100]).unwrap();
    copy.ask().fails(1, &["model.safetensors", "not a readable weights file"]);
}

#[test]
fn shapes_other_than_configured() {
    let copy = ModelCopy::new();
    copy.edit(|config| config["hidden_size"] = json!(128));
    copy.ask().fails(1, &["of the wrong shape", "expected [", "found ["]);
}

#[test]
fn a_query_grid_other_than_the_weights() {
    for sides in [json!([144, 576]), json!([143]), json!([]), json!([64])] {
        let copy = ModelCopy::new();
        copy.edit(|config| config["query_num_list"] = sides.clone());
        copy.ask().fails(1, &[]);
    }
}

#[test]
fn an_unknown_model_type() {
    let copy = ModelCopy::new();
    copy.edit(|config| config["model_type"] = json!("mamba"));
    copy.ask().fails(1, &["config.json", "mamba", "cambrian_qwen"]);
}

#[test]
fn a_device_that_is_not_there() {
    for device in ["tpu", "cpu:9", "cuda:99"] {
        run(ask(video("video3.mp4"), "What?").args(["--device", device])).fails(1, &[device, "available here: "]);
    }
}

#[test]
fn a_question_longer_than_the_window() {
    let question = "word ".repeat(2000);
    run(&mut ask(video("video3.mp4"), &question)).fails(1, &["window of 1024", "shorten the question"]);
    run(ask(video("video3.mp4"), "What?").args(["--max-len", "20"])).fails(1, &["window of 20"]);
}

#[test]
fn a_question_with_a_marker_of_the_prompt() {
    run(&mut ask(video("video3.mp4"), "What is <image>?")).fails(1, &["<image>", "leave it out"]);
}
