//! `longvu eval` on small folders in the published layouts, with the built-in model.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

#[path = "../../../longvu-eval/tests/made/mod.rs"]
#[allow(dead_code, reason = "other tests take more of it")]
mod made;

use self::made::{ALL, Made};
use crate::support::{Run, longvu, run};

fn make(name: &str) -> Made {
    ALL.into_iter().find(|(known, _)| *known == name).unwrap().1()
}

fn eval(name: &str, made: &Made, out: &Path) -> Command {
    let mut command = longvu();
    command.args(["eval", name, "--data"]).arg(made.root()).arg("--out").arg(out).arg("-q");
    command
}

fn lines(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("answers.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn result(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("result.json")).unwrap()).unwrap()
}

/// Scores by the letters in `answers.jsonl` and by what was made, counted here.
fn counted(made: &Made, out: &Path) -> BTreeMap<String, (u64, u64)> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in lines(out) {
        let id = line["id"].as_str().unwrap();
        let Some(answer) = made.answers.get(id) else { continue };
        let letter = line["letter"].as_str().unwrap_or("none");
        let is_right = letter == ["A", "B", "C", "D", "E"][*answer];
        for group in ["all", &made.groups[id]] {
            let (right, of) = counts.entry(group.to_owned()).or_default();
            (*right, *of) = (*right + u64::from(is_right), *of + 1);
        }
    }
    counts
}

#[track_caller]
fn is_as_counted(made: &Made, out: &Path, by: Option<&str>) {
    let (counts, result) = (counted(made, out), result(out));
    let score = |score: &Value| (score["right"].as_u64().unwrap(), score["of"].as_u64().unwrap());
    assert_eq!(score(&result["pooled"]), counts["all"]);
    let Some(kind) = by else { return };
    let groups = result["groups"][kind].as_object().unwrap();
    assert_eq!(groups.len(), counts.len() - 1);
    for (name, found) in groups {
        assert_eq!(score(found), counts[name], "{name}");
        let (low, high) = (found["low"].as_f64().unwrap(), found["high"].as_f64().unwrap());
        let share = found["share"].as_f64().unwrap();
        assert!(low <= share && share <= high && low < high, "{found}");
    }
}

#[test]
fn every_data_set_is_scored_as_counted_by_hand() {
    for (name, make) in ALL {
        let (made, folder) = (make(), tempfile::tempdir().unwrap());
        let out = folder.path().join("run");
        let table = run(eval(name, &made, &out).args(["--choose", "likelihood"])).ok();
        assert!(table.contains("overall") && table.contains("95 % interval"), "{table}");
        let answers = lines(&out);
        assert!(answers.len() >= 30, "{name}: {}", answers.len());
        assert!(answers.iter().all(|line| line["letter"].is_string() && line["visual_tokens"].as_u64() > Some(0)));
        let by = match name {
            "videomme" => Some("duration"),
            "mlvu" | "mvbench" => Some("task"),
            "json" => Some("category"),
            _ => None,
        };
        is_as_counted(&made, &out, by);
        if name != "json" {
            assert!(table.contains("LongVU-Qwen2-7B"), "{table}");
        }
        match name {
            "mlvu" => is_the_mean_of_tasks(&made, &out),
            "egoschema" => is_a_submission(&answers, &out),
            "videomme" => is_a_submission_of_videos(&answers, &out),
            _ => {}
        }
    }
}

fn is_the_mean_of_tasks(made: &Made, out: &Path) {
    let mut counts = counted(made, out);
    counts.remove("all");
    let mean = counts.values().map(|(right, of)| *right as f64 / *of as f64).sum::<f64>() / counts.len() as f64;
    assert!((result(out)["overall"]["share"].as_f64().unwrap() - mean).abs() < 1e-12);
}

fn is_a_submission(answers: &[Value], out: &Path) {
    let csv = fs::read_to_string(out.join("submission.csv")).unwrap();
    let rows: Vec<String> =
        answers.iter().map(|line| format!("{},{}", line["id"].as_str().unwrap(), line["choice"])).collect();
    assert_eq!(csv, format!("q_uid,answer\n{}\n", rows.join("\n")));
    assert_eq!(result(out)["unlabelled"], 11);
}

fn is_a_submission_of_videos(answers: &[Value], out: &Path) {
    let videos: Value = serde_json::from_slice(&fs::read(out.join("submission.json")).unwrap()).unwrap();
    let videos = videos.as_array().unwrap();
    assert_eq!(videos.len(), 11);
    let questions: usize = videos.iter().map(|video| video["questions"].as_array().unwrap().len()).sum();
    assert_eq!(questions, answers.len());
    assert_eq!((&videos[3]["video_id"], &videos[3]["questions"][1]["question_id"]), (&"004".into(), &"004-2".into()));
}

#[test]
fn letters_are_read_as_the_package_does_and_subtitles_change_prompts() {
    let (made, folder) = (make("videomme"), tempfile::tempdir().unwrap());
    let (plain, subtitled) = (folder.path().join("plain"), folder.path().join("subtitled"));
    let first = |out: &Path| {
        let mut command = eval("videomme", &made, out);
        command.args(["--limit", "30"]);
        command
    };
    run(&mut first(&plain)).ok();
    is_as_counted(&made, &plain, Some("duration"));
    run(first(&subtitled).arg("--subtitles")).ok();
    let hashes =
        |out: &Path| -> Vec<Value> { lines(out).into_iter().map(|mut line| line["prompt_sha256"].take()).collect() };
    let (a, b) = (hashes(&plain), hashes(&subtitled));
    // Eight of the videos have subtitles, and three questions each.
    assert_eq!(a.iter().zip(&b).filter(|(a, b)| a != b).count(), 24);
    assert_eq!(result(&subtitled)["subtitled"], 24);
    run(first(&plain).arg("--subtitles")).fails(1, &["other settings", "settings.subtitles", "another folder"]);
    let compared = run(longvu().args(["eval", "compare"]).args([&plain, &subtitled])).ok();
    assert!(compared.contains("30 questions") && compared.contains("McNemar"), "{compared}");
    assert!(compared.contains("settings.subtitles"), "{compared}");
}

/// Starts a run, and kills it when it has written as many answers.
fn kill_after(command: &mut Command, out: &Path, answers: usize) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let written =
        || fs::read(out.join("answers.jsonl")).map_or(0, |bytes| bytes.iter().filter(|&&b| b == b'\n').count());
    while written() < answers && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "no answers come");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join("result.json").exists(), "it was done before it was killed");
}

#[test]
fn a_killed_run_goes_on_and_comes_out_the_same() {
    let (made, folder) = (make("mlvu"), tempfile::tempdir().unwrap());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    run(&mut eval("mlvu", &made, &whole)).ok();
    for answers in [1, 12, 25] {
        kill_after(&mut eval("mlvu", &made, &killed), &killed, answers);
    }
    // As if the last had been killed in the middle of a line.
    let journal = killed.join("answers.jsonl");
    let text = fs::read(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 20]).unwrap();
    run(&mut eval("mlvu", &made, &killed)).ok();
    assert_eq!(fs::read(whole.join("result.json")).unwrap(), fs::read(killed.join("result.json")).unwrap());
    assert_eq!(lines(&killed).len(), made.answers.len());
}

#[test]
fn merged_parts_equal_one_run() {
    let (made, folder) = (make("mvbench"), tempfile::tempdir().unwrap());
    let at = |name: &str| folder.path().join(name);
    run(&mut eval("mvbench", &made, &at("whole"))).ok();
    for part in ["0", "1"] {
        run(eval("mvbench", &made, &at(part)).args(["--shard", &format!("{part}/2")])).ok();
    }
    let merge = |parts: &[&str], out: &str| -> Run {
        let parts = parts.iter().map(|part| at(part));
        run(longvu().args(["eval", "merge"]).args(parts).arg("--out").arg(at(out)))
    };
    merge(&["0"], "half").fails(1, &["1/2", "missing"]);
    merge(&["0", "0"], "half").fails(1, &["0/2", "twice"]);
    merge(&["0", "whole"], "half").fails(1, &["whole"]);
    assert!(!at("half").exists());
    merge(&["1", "0"], "merged").ok();
    assert_eq!(fs::read(at("whole/result.json")).unwrap(), fs::read(at("merged/result.json")).unwrap());
    merge(&["1", "0"], "merged").fails(1, &["merged", "holds a run already"]);
}

#[test]
fn an_unreadable_video_is_counted_and_asked_again() {
    let (made, folder) = (make("json"), tempfile::tempdir().unwrap());
    let (out, video) = (folder.path().join("run"), made.root().join("clips/2.mp4"));
    let good = fs::read(&video).unwrap();
    fs::remove_file(&video).unwrap();
    fs::write(&video, "no video").unwrap();
    run(eval("json", &made, &out.with_extension("strict")).arg("--strict")).fails(1, &["clips/2.mp4"]);
    let done = run(&mut eval("json", &made, &out));
    assert!(done.stderr.contains("6 questions could not be asked"), "{}", done.stderr);
    assert!(done.code == 3 && done.stdout.contains("failed ones as wrong"), "{}", done.stdout);
    let first = result(&out);
    assert_eq!((first["failed"].as_array().unwrap().len(), &first["pooled"]["of"]), (6, &24.into()));
    assert_eq!(first["overall_with_failed"]["of"], 30);
    fs::write(&video, good).unwrap();
    run(&mut eval("json", &made, &out)).ok();
    assert_eq!(result(&out)["pooled"]["of"], 30);
    is_as_counted(&made, &out, Some("category"));
}

#[test]
fn another_video_in_a_videos_place_is_not_gone_on_with() {
    let (made, folder) = (make("json"), tempfile::tempdir().unwrap());
    let (out, video) = (folder.path().join("run"), made.root().join("clips/0.mp4"));
    kill_after(&mut eval("json", &made, &out), &out, 2);
    fs::remove_file(&video).unwrap();
    fs::write(&video, "another").unwrap();
    run(&mut eval("json", &made, &out)).fails(1, &["clips/0.mp4", "now it has 7"]);
}

#[test]
fn a_part_after_the_end_is_no_part_of_the_video() {
    let (made, folder) = (make("mvbench"), tempfile::tempdir().unwrap());
    for task in ["action_localization", "episodic_reasoning"] {
        let path = made.root().join(format!("json/{task}.json"));
        let late = fs::read_to_string(&path).unwrap().replace("0.5", "500").replace("2.5", "600");
        fs::write(&path, late).unwrap();
    }
    let out = folder.path().join("run");
    let done =
        run(eval("mvbench", &made, &out).args(["--subset", "action_localization,episodic_reasoning,state_change"]));
    assert!(done.code == 3 && done.stderr.contains("500 s to 600 s"), "{}", done.stderr);
    assert_eq!((result(&out)["failed"].as_array().unwrap().len(), &result(&out)["pooled"]["of"]), (4, &2.into()));
}

#[test]
fn what_cannot_be_run_is_refused_at_once() {
    let (made, folder) = (make("json"), tempfile::tempdir().unwrap());
    let out = folder.path().join("run");
    for (arguments, code, parts) in [
        (&["--shard", "2/2"][..], 2, &["I/N"][..]),
        (&["--fps", "0"], 2, &["above 0"]),
        (&["--prompt", "ours"], 2, &["lmms-eval"]),
        (&["--subset", "nearby"], 1, &["nearby", "far, near"]),
        (&["--spatial", "evs:q=2"], 2, &["evs"]),
        (&["--spatial", "evs", "--query", "bolt"], 1, &["one of the two"]),
        (&["--subtitles"], 1, &["subtitles"]),
    ] {
        run(eval("json", &made, &out).args(arguments)).fails(code, parts);
        assert!(!out.exists(), "{arguments:?}");
    }
    fs::write(&out, "a file").unwrap();
    run(&mut eval("json", &made, &out)).fails(1, &["run", "cannot be written"]);
}

/// A disk of this many KiB; none where nobody may mount one.
#[cfg(target_os = "linux")]
fn small_disk(at: &Path, kib: usize) -> Option<Mounted> {
    fs::create_dir_all(at).unwrap();
    let size = format!("size={kib}k");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output().ok()?;
    mounted.status.success().then(|| Mounted(at.to_owned()))
}

#[cfg(target_os = "linux")]
struct Mounted(PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_stops_a_run_that_goes_on_when_there_is_room() {
    let (made, folder) = (make("json"), tempfile::tempdir().unwrap());
    // Only the superuser may mount one.
    let Some(disk) = small_disk(&folder.path().join("disk"), 16) else { return };
    let (out, whole) = (disk.0.join("run"), folder.path().join("whole"));
    run(&mut eval("json", &made, &out)).fails(1, &["answers.jsonl cannot be written", "No space left"]);
    run(&mut eval("json", &made, &whole)).ok();
    let grown = Command::new("mount").args(["-o", "remount,size=1024k"]).arg(&disk.0).status().unwrap();
    assert!(grown.success());
    run(&mut eval("json", &made, &out)).ok();
    assert_eq!(fs::read(whole.join("result.json")).unwrap(), fs::read(out.join("result.json")).unwrap());
}
