//! Batches through the library: parts, resuming, encodings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use arrow_array::{Array, RecordBatch, StringArray, cast::AsArray, types::Int32Type};
use longvu::{ErrorKind, LongVu, Step, Watch};
use longvu_eval::{Batch, BatchSettings, Encodings, Shard};
use longvu_world::{Script, ScriptOptions, Split};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

fn model() -> LongVu {
    LongVu::builder(longvu::miniature_folder().unwrap()).load().unwrap()
}

/// A list of `count` short videos with two questions each.
fn list(folder: &Path, count: u64) -> std::path::PathBuf {
    let mut lines = String::new();
    for seed in 0..count {
        let options = ScriptOptions::default().with_duration(3.0).with_size(64);
        let script = Script::draw(Split::Test.seed(seed), &options).unwrap();
        script.write_mp4(folder.join(format!("{seed}.mp4"))).unwrap();
        let line = json!({ "id": format!("v{seed}"), "video": format!("{seed}.mp4"), "questions": ["What is shown?", "Is there a ring?"] });
        lines += &format!("{line}\n");
    }
    let path = folder.join("list.jsonl");
    fs::write(&path, lines).unwrap();
    path
}

fn settings(shard: Shard) -> BatchSettings {
    let mut settings = BatchSettings::default();
    settings.shard = shard;
    settings
}

fn batches(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// Answers by video and question.
fn answers(path: &Path) -> BTreeMap<(String, i32), Option<String>> {
    let mut all = BTreeMap::new();
    for batch in batches(path) {
        let text = |name: &str| -> StringArray { batch.column_by_name(name).unwrap().as_string::<i32>().clone() };
        let (ids, answers) = (text("id"), text("answer"));
        let questions = batch.column_by_name("question_index").unwrap().as_primitive::<Int32Type>();
        for row in 0..batch.num_rows() {
            let answer = (!answers.is_null(row)).then(|| answers.value(row).to_owned());
            assert!(all.insert((ids.value(row).to_owned(), questions.value(row)), answer).is_none(), "a row twice");
        }
    }
    all
}

#[test]
fn parts_are_the_whole_and_equal_single_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (list, model) = (list(folder.path(), 6), model());
    let run = |shard: Shard, out: &str| {
        let batch = Batch::open(&list, settings(shard)).unwrap();
        let summary = batch.run(&model, Value::Null, &folder.path().join(out), |_| {}).unwrap();
        assert_eq!(summary.failed, 0);
        answers(&summary.path)
    };
    let whole = run(Shard::WHOLE, "whole");
    assert_eq!(whole.len(), 12);
    let mut parts = BTreeMap::new();
    for index in 0..3 {
        for (key, answer) in run(Shard::new(index, 3).unwrap(), "parts") {
            assert!(parts.insert(key, answer).is_none());
        }
    }
    assert_eq!(whole, parts);
    let encoded = model.encode(longvu::Video::open(folder.path().join("2.mp4")).unwrap()).unwrap();
    assert_eq!(whole[&("v2".to_owned(), 1)], Some(model.ask(&encoded, "Is there a ring?").unwrap()));
}

#[test]
fn a_stopped_part_goes_on_without_asking_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (list, model, out) = (list(folder.path(), 4), model(), folder.path().join("out"));
    let batch = Batch::open(&list, settings(Shard::WHOLE)).unwrap();
    let prompts = std::sync::atomic::AtomicUsize::new(0);
    let stopped = model.watched(Watch::new(move |progress| {
        let is_read = progress.step == Step::Prompt && Some(progress.done) == progress.total;
        match is_read && prompts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 3 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }));
    let mut rows = 0;
    let error = batch.run(&stopped, Value::Null, &out, |progress| rows = progress.done).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(rows < 8 && !batch.part(&out).exists(), "{rows}");
    let looked_at = || model.work_counters().dinov2_frames + model.work_counters().dinov2_repeats;
    let before = looked_at();
    let summary = batch.run(&model, Value::Null, &out, |_| {}).unwrap();
    assert_eq!(answers(&summary.path).len(), 8);
    let looked = looked_at() - before;
    assert_eq!(looked as usize, (8 - rows).div_ceil(2) * 3, "three frames of each video that is left");
    // Once more, with nothing left to do.
    let before = model.work_counters();
    batch.run(&model, Value::Null, &out, |_| {}).unwrap();
    assert_eq!(model.work_counters().dinov2_frames, before.dinov2_frames);
}

#[test]
fn kept_encodings_spare_the_towers() {
    let folder = tempfile::tempdir().unwrap();
    let (list, model) = (list(folder.path(), 3), model());
    let about = json!({ "fingerprint": model.fingerprint().unwrap() });
    let mut settings = settings(Shard::WHOLE);
    settings.encodings = Some(Encodings::new(folder.path().join("encodings"), &about).unwrap());
    let run = |settings: &BatchSettings, out: &str| {
        let batch = Batch::open(&list, settings.clone()).unwrap();
        let before = model.work_counters().dinov2_frames;
        let summary = batch.run(&model, about.clone(), &folder.path().join(out), |_| {}).unwrap();
        (answers(&summary.path), model.work_counters().dinov2_frames - before)
    };
    let (first, looked) = run(&settings, "first");
    assert!(looked > 0);
    let (again, looked) = run(&settings, "again");
    assert_eq!((first.clone(), 0), (again, looked));
    // A damaged one is made again.
    let kept = fs::read_dir(folder.path().join("encodings")).unwrap().next().unwrap().unwrap().path();
    fs::write(&kept, "damaged").unwrap();
    let (again, looked) = run(&settings, "mended");
    assert!(again == first && looked == 3, "{looked}");
    // Other frames are another encoding.
    settings.video = settings.video.clone().with_max_frames(1);
    assert!(run(&settings, "fewer").1 > 0);
}

#[test]
fn another_list_does_not_go_into_the_same_part() {
    let folder = tempfile::tempdir().unwrap();
    let (path, model, out) = (list(folder.path(), 2), model(), folder.path().join("out"));
    let batch = |path: &Path| Batch::open(path, settings(Shard::WHOLE)).unwrap();
    batch(&path).run(&model, Value::Null, &out, |_| {}).unwrap();
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("Is there", "Where is")).unwrap();
    let error = batch(&path).run(&model, Value::Null, &out, |_| {}).unwrap_err();
    assert!(error.to_string().contains("list_sha256"), "{error}");
    assert_eq!(error.kind(), ErrorKind::BadInput);
    let error = batch(&path).run(&model, json!({ "dtype": "f16" }), &folder.path().join("out"), |_| {}).unwrap_err();
    assert!(error.to_string().contains("other settings"), "{error}");
}
