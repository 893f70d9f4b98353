//! `longvu batch`: parts of a list, each in a process of its own.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::support::{longvu, model, run, video};

/// A folder with a list of one video under several names, a question each.
fn list(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let line = |name: &&str| json!({ "id": name, "video": video("video3.mp4"), "questions": ["What?"] }).to_string();
    let lines: Vec<String> = names.iter().map(line).collect();
    fs::write(folder.path().join("list.jsonl"), lines.join("\n")).unwrap();
    folder
}

fn batch(list: &Path, out: &Path, shard: &str) -> Command {
    let mut command = longvu();
    command.arg("batch").arg(list).arg("--out").arg(out).args(["--shard", shard, "--quiet", "--uniform", "1"]);
    command.arg("--model").arg(model()).args(["--max-new-tokens", "2"]);
    command
}

/// The names `a` and `b` are in different parts of two.
#[test]
fn a_folder_takes_one_list_in_one_division() {
    let (folder, other) = (list(&["a", "b", "c", "d"]), list(&["a", "e"]));
    let (path, out) = (folder.path().join("list.jsonl"), folder.path().join("out"));
    assert!(run(&mut batch(&path, &out, "0/2")).ok().contains("part-00000-of-00002.parquet"));
    run(&mut batch(&path, &out, "0/3")).fails(1, &["out holds", "another division than of 00003", "another folder"]);
    let settings = ["another list, or of other settings", "list_sha256", "another folder"];
    run(&mut batch(&other.path().join("list.jsonl"), &out, "1/2")).fails(1, &settings);
    run(batch(&path, &out, "1/2").args(["--max-frames", "3"])).fails(1, &["other settings", "max_frames"]);
    // Whatever was refused has left nothing that stands in the way.
    run(&mut batch(&path, &out, "1/2")).ok();
    fs::remove_dir_all(out.join("_longvu")).unwrap();
    run(&mut batch(&path, &out, "0/1")).fails(1, &["part-0000", "another division than of 00001"]);
}

#[test]
fn a_part_goes_on_from_wherever_the_list_is_named() {
    let folder = list(&["a", "b"]);
    let out = folder.path().join("out");
    run(&mut batch(&folder.path().join("list.jsonl"), &out, "0/1")).ok();
    let journal = out.join("_longvu/part-00000-of-00001/answers.jsonl");
    let before = fs::read(&journal).unwrap();
    let mut again = batch(Path::new("list.jsonl"), &out, "0/1");
    run(again.current_dir(folder.path())).ok();
    assert_eq!(fs::read(&journal).unwrap(), before);
}
