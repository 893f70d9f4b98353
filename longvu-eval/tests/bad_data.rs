//! Data sets that are not as published.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "other tests take more of it")]
mod made;

use std::{fs, path::Path};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use longvu::ErrorKind;
use longvu_eval::{Error, EvalSettings, Evaluation, Result, Selection, by_name};

fn made(name: &str) -> made::Made {
    made::ALL.into_iter().find(|(known, _)| *known == name).unwrap().1()
}

fn prepare(name: &str, root: &Path, selection: Selection) -> Result<Evaluation> {
    let data_set = by_name(name).unwrap();
    let settings = EvalSettings::of(data_set.as_ref());
    Evaluation::prepare(data_set, root, settings, selection)
}

#[track_caller]
fn fails(name: &str, root: &Path, parts: &[&str]) -> Error {
    let error = prepare(name, root, Selection::default()).err().expect("it should fail");
    let text = longvu::text::chain(&error);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert!(matches!(error.kind(), ErrorKind::BadInput | ErrorKind::NotFound), "{text}");
    error
}

#[test]
fn a_missing_column_is_named_with_those_there() {
    let folder = tempfile::tempdir().unwrap();
    let column = |name| (name, std::sync::Arc::new(StringArray::from(vec!["x"])) as ArrayRef);
    let batch = RecordBatch::try_from_iter([column("question"), column("answer")]).unwrap();
    made::write_parquet(&folder.path().join("test-00000-of-00001.parquet"), &batch);
    fails("videomme", folder.path(), &["no column `video_id`", "question, answer", "test-00000"]);
    fs::write(folder.path().join("test-00000-of-00001.parquet"), "no parquet").unwrap();
    fails("videomme", folder.path(), &["test-00000"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    for (name, _) in made::ALL {
        fails(name, Path::new("/nowhere"), &["/nowhere/"]);
    }
}

#[test]
fn an_answer_that_is_no_option_is_refused() {
    let made = made("mlvu");
    let path = made.root().join("json/4_count.json");
    let changed = fs::read_to_string(&path).unwrap().replace("\"answer\":\"red 32\"", "\"answer\":\"purple\"");
    let changed = changed.replacen("\"answer\":\"", "\"answer\":\"not ", 1);
    fs::write(&path, changed).unwrap();
    fails("mlvu", &made.root(), &["4_count_0", "not among its options", "4_count.json"]);
    let made = self::made("egoschema");
    fs::write(made.root().join("subset_answers.json"), r#"{"00ff01-uid": 5}"#).unwrap();
    fails("egoschema", &made.root(), &["00ff01-uid", "option 5"]);
}

#[test]
fn json_errors_say_where() {
    let made = made("mvbench");
    let path = made.root().join("json/state_change.json");
    fs::write(&path, r#"[{"video": "a.mp4", "question": 3}]"#).unwrap();
    fails("mvbench", &made.root(), &["state_change.json", "[0].question"]);
    fs::write(&path, "[").unwrap();
    fails("mvbench", &made.root(), &["state_change.json"]);
    let list = self::made("json");
    let path = list.root().join("questions.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"category\"", "\"kategory\"", 1)).unwrap();
    fails("json", &list.root(), &["kategory"]);
    fs::write(&path, text.replacen("clips/0.mp4", "../../etc/clip.mp4", 1)).unwrap();
    fails("json", &list.root(), &["missing", "clip.mp4"]);
    fs::write(&path, "[]").unwrap();
    fails("json", &list.root(), &["no questions"]);
}

#[test]
fn missing_videos_stop_a_run_before_it_begins() {
    let made = made("mlvu");
    fs::remove_file(made.root().join("video/3_ego/clip_1.mp4")).unwrap();
    let error = fails("mlvu", &made.root(), &["1 of 14 videos are missing", "3_ego/clip_1.mp4"]);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let mut selection = Selection::default();
    selection.skip_missing = true;
    let evaluation = prepare("mlvu", &made.root(), selection).unwrap();
    assert_eq!(evaluation.missing(), ["3_ego/clip_1.mp4"]);
    assert!(evaluation.questions().all(|question| question.video.name != "3_ego/clip_1.mp4"));
    // Nobody asks about it.
    let mut selection = Selection::default();
    selection.subset = vec!["count".into()];
    assert!(prepare("mlvu", &made.root(), selection).is_ok());
}

#[test]
fn a_folder_is_no_video_and_a_file_no_folder_of_pictures() {
    let made = made("egoschema");
    let video = made.root().join("good_clips_git/00ff03-uid.mp4");
    fs::remove_file(&video).unwrap();
    fs::create_dir(&video).unwrap();
    fails("egoschema", &made.root(), &["00ff03-uid.mp4", "it is a folder"]);
    let made = self::made("mvbench");
    let scene = made.root().join("video/tvqa/frames_fps3_hq/scene_1");
    fs::remove_dir_all(&scene).unwrap();
    fs::write(&scene, "x").unwrap();
    fails("mvbench", &made.root(), &["scene_1", "folder of pictures"]);
}

#[test]
fn an_unknown_subset_lists_those_there_are() {
    let made = made("mlvu");
    let mut selection = Selection::default();
    selection.subset = vec!["plot".into()];
    let error = prepare("mlvu", &made.root(), selection).err().unwrap().to_string();
    assert!(error.contains("`plot`") && error.contains("plotQA"), "{error}");
}
