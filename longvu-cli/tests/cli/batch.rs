//! `longvu batch`: exit codes, and what the program itself adds.

use std::{fs, path::Path};

use crate::support::{longvu, run, video};

fn list(folder: &Path, lines: &[serde_json::Value]) -> std::path::PathBuf {
    let path = folder.join("list.jsonl");
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    path
}

fn line(id: &str, video: &Path) -> serde_json::Value {
    serde_json::json!({ "id": id, "video": video, "questions": ["Is there a square?"] })
}

#[test]
fn exit_codes_tell_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (out, late) = (folder.path().join("out"), folder.path().join("late.mp4"));
    let list = list(folder.path(), &[line("a", &video("video3.mp4")), line("b", Path::new("late.mp4"))]);
    let batch = || {
        let mut command = longvu();
        command.arg("batch").arg(&list).arg("--out").arg(&out).arg("-q");
        command
    };
    let some = run(&mut batch());
    assert_eq!(some.code, 3, "{}", some.stderr);
    assert!(
        some.stderr.contains("1 of 2 rows")
            && some.stderr.contains("no such file")
            && some.stdout.contains("part-00000-of-00001.parquet")
    );
    let part = out.join("part-00000-of-00001.parquet");
    assert!(part.exists());
    fs::copy(video("video3.mp4"), &late).unwrap();
    assert!(run(&mut batch()).ok().contains("2 rows"));
    run(batch().args(["--max-new-tokens", "3"])).fails(1, &["other settings", "max_new_tokens"]);
    run(batch().env("RANK", "0").args(["--shard", "auto"])).fails(2, &["WORLD_SIZE"]);
}

#[test]
fn nothing_is_done_for_a_list_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let list = list(folder.path(), &[serde_json::json!({ "id": "a" })]);
    run(longvu().arg("batch").arg(&list).arg("--out").arg(&out)).fails(1, &["line 1", "questions"]);
    run(longvu().arg("batch").arg(folder.path().join("no.jsonl")).arg("--out").arg(&out)).fails(1, &["no.jsonl"]);
    assert!(!out.exists());
}

#[test]
fn parts_by_the_environment_are_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let lines: Vec<_> = (0..5).map(|i| line(&format!("v{i}"), &video("video3.mp4"))).collect();
    let list = list(folder.path(), &lines);
    let mut rows = 0;
    for index in ["0", "1"] {
        let mut command = longvu();
        command.arg("batch").arg(&list).arg("--out").arg(&out).args(["--shard", "auto", "--json", "-q"]);
        let summary = run(command.env("JOB_COMPLETION_INDEX", index).env("JOB_COMPLETIONS", "2")).json();
        rows += summary["rows"].as_u64().unwrap();
    }
    assert_eq!(rows, 5);
    let parts: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(parts.len(), 3, "two parts and _longvu: {parts:?}");
}
