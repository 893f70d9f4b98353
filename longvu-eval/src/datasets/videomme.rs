//! VideoMME: a Parquet file, with subtitles for most videos.

use std::{collections::BTreeMap, fs::File, path::Path};

use arrow_array::{Array, LargeListArray, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray};
use longvu::Preset;
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
};
use serde_json::{Value, json};

use super::{
    data_set::{DataSet, LLAMA, Published, QWEN, letter, published},
    read,
};
use crate::{AnswerLine, Error, FrameRule, Question, Result, VideoRef};

/// VideoMME (arXiv 2405.21075).
#[derive(Debug, Clone, Copy)]
pub struct VideoMme;

const FILE: &str = "test-00000-of-00001.parquet";

/// Columns of text that are read.
const TEXTS: [&str; 9] =
    ["video_id", "duration", "domain", "sub_category", "videoID", "question_id", "task_type", "question", "answer"];

impl DataSet for VideoMme {
    fn name(&self) -> &'static str {
        "videomme"
    }

    fn preset(&self) -> Preset {
        Preset::VideoMme
    }

    fn frames(&self) -> FrameRule {
        FrameRule::new(0.5)
    }

    fn questions(&self, root: &Path) -> Result<Vec<Question>> {
        let inner = root.join("videomme").join(FILE);
        let path = if inner.exists() { inner } else { root.join(FILE) };
        let file = File::open(&path).map_err(Error::read(&path))?;
        // Without Arrow's own schema, by which the writer's texts may be dictionaries or views.
        let plain = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let damaged = |reason: String| read::bad(&path, reason);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file, plain).map_err(|e| damaged(e.to_string()))?;
        let schema = builder.parquet_schema();
        if let Some(missing) = TEXTS.iter().chain(&["options"]).find(|name| builder.schema().index_of(name).is_err()) {
            let there: Vec<&str> = builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
            return Err(damaged(format!("it has no column `{missing}`; it has {}", there.join(", "))));
        }
        let wanted = ProjectionMask::columns(schema, TEXTS.into_iter().chain(["options"]));
        let reader = builder.with_projection(wanted).build().map_err(|e| damaged(e.to_string()))?;
        let mut questions = Vec::new();
        for batch in reader {
            let batch = batch.map_err(|e| damaged(e.to_string()))?;
            for row in 0..batch.num_rows() {
                questions.push(question(root, &path, &batch, row)?);
            }
        }
        read::check(&path, questions)
    }

    fn options(&self, question: &Question) -> String {
        question.options.join("\n")
    }

    fn instruction(&self, _question: &Question) -> String {
        "Respond with only the letter (A, B, C, or D) of the correct option.\n".into()
    }

    fn lmms_eval_prompt(&self, question: &Question) -> String {
        let task = "Select the best answer to the following multiple-choice question based on the video and the \
                    subtitles. Respond with only the letter (A, B, C, or D) of the correct option.";
        format!("{task}\n{}\n{}\nThe best answer is:", question.text, self.options(question))
    }

    fn published(&self) -> &'static [Published] {
        const SCORES: [Published; 4] = [
            published(QWEN, "overall", 60.6),
            published(QWEN, "long", 59.5),
            published(LLAMA, "overall", 51.5),
            published(LLAMA, "long", 47.2),
        ];
        &SCORES
    }

    /// The leaderboard's JSON: a list of videos, each with its questions and the responses to them.
    fn submission(&self, answers: &[AnswerLine]) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let mut videos: Vec<(Value, Vec<Value>)> = Vec::new();
        for answer in answers {
            let extra = |name: &str| answer.extra.get(name).cloned().unwrap_or_default();
            let group = |name: &str| answer.groups.get(name).cloned().unwrap_or_default();
            let place = *places.entry(answer.video.as_str()).or_insert_with(|| {
                let video = json!({
                    "video_id": extra("video_id"), "duration": group("duration"), "domain": group("domain"),
                    "sub_category": group("sub_category")
                });
                videos.push((video, Vec::new()));
                videos.len() - 1
            });
            videos[place].1.push(json!({
                "question_id": answer.id, "task_type": group("task_type"), "question": answer.question,
                "options": answer.options, "answer": answer.answer.map(|i| letter(i).to_string()),
                "response": response(answer)
            }));
        }
        let with_questions = videos.into_iter().map(|(mut video, questions)| {
            video["questions"] = Value::Array(questions);
            video
        });
        let list = Value::Array(with_questions.collect());
        Ok(vec![("submission.json", format!("{list:#}\n").into_bytes())])
    }
}

/// What the model said, or the letter that was likeliest.
fn response(answer: &AnswerLine) -> String {
    match answer.likelihoods.is_empty() {
        true => answer.text.clone(),
        false => answer.letter.map(String::from).unwrap_or_default(),
    }
}

fn question(root: &Path, path: &Path, batch: &RecordBatch, row: usize) -> Result<Question> {
    let text = |name: &'static str| {
        let column = batch.column_by_name(name).map(AsRef::as_ref);
        let found = column.and_then(|column| string(column, row));
        found.ok_or_else(|| read::bad(path, format!("row {row} has no text in the column `{name}`")))
    };
    let id = text("question_id")?;
    let options = batch.column_by_name("options").and_then(|column| strings(column.as_ref(), row));
    let options =
        options.ok_or_else(|| read::bad(path, format!("row {row} has no list of texts in the column `options`")))?;
    let (name, answer) = (text("videoID")?, text("answer")?);
    read::name(path, &name)?;
    let place = (0..options.len()).find(|&i| letter(i).to_string() == answer.trim());
    let place = place.ok_or_else(|| Error::BadQuestion {
        path: path.to_owned(),
        id: id.clone(),
        reason: format!("its answer `{answer}` is not the letter of one of its {} options", options.len()),
    })?;
    let mut video = VideoRef::file(&name, root.join("data").join(&name));
    video.suffixes = &[".mp4", ".avi", ".mov", ".mkv"];
    let subtitles = root.join("subtitle").join(format!("{name}.srt"));
    let mut question = Question::new(id, video, text("question")?, options);
    question.answer = Some(place);
    for kind in ["duration", "domain", "sub_category", "task_type"] {
        question.groups.push((kind, text(kind)?));
    }
    question.subtitles = subtitles.exists().then_some(subtitles);
    question.extra = vec![("video_id", text("video_id")?)];
    Ok(question)
}

/// A text of a column, in whichever of Arrow's layouts the file has it.
fn string(column: &dyn Array, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let any = column.as_any();
    any.downcast_ref::<StringArray>()
        .map(|texts| texts.value(row).to_owned())
        .or_else(|| any.downcast_ref::<LargeStringArray>().map(|texts| texts.value(row).to_owned()))
        .or_else(|| any.downcast_ref::<StringViewArray>().map(|texts| texts.value(row).to_owned()))
}

/// A list of texts.
fn strings(column: &dyn Array, row: usize) -> Option<Vec<String>> {
    if column.is_null(row) {
        return None;
    }
    let any = column.as_any();
    let items = any
        .downcast_ref::<ListArray>()
        .map(|lists| lists.value(row))
        .or_else(|| any.downcast_ref::<LargeListArray>().map(|lists| lists.value(row)))?;
    (0..items.len()).map(|i| string(items.as_ref(), i)).collect()
}
