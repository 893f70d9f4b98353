//! Questions of one's own: a JSON list, or a file of JSON lines.

use std::path::{Path, PathBuf};

use longvu::Preset;
use serde::Deserialize;

use super::{
    data_set::{DataSet, letters},
    read,
};
use crate::{FrameRule, Question, Result, VideoRef};

/// A list of `{"video", "question", "options", "answer", "category"}`: `questions.json` or `questions.jsonl` in the folder,
/// or the file itself.
///
/// `video` is a path from the file's folder; `answer` an option's text, its letter, or left out; `category` and `id` may be
/// left out.
#[derive(Debug, Clone, Copy)]
pub struct Json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: Option<String>,
    video: String,
    question: String,
    options: Vec<String>,
    answer: Option<String>,
    category: Option<String>,
    /// Seconds that bound the part that is meant.
    start: Option<f64>,
    end: Option<f64>,
    subtitles: Option<PathBuf>,
}

impl DataSet for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn preset(&self) -> Preset {
        Preset::Package
    }

    fn frames(&self) -> FrameRule {
        FrameRule::new(1.0).with_round_rate(false)
    }

    fn questions(&self, root: &Path) -> Result<Vec<Question>> {
        let path = file(root);
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut questions = Vec::new();
        for (place, item) in items(&path)?.into_iter().enumerate() {
            let id = item.id.unwrap_or_else(|| place.to_string());
            let answer =
                item.answer.as_deref().map(|answer| position(&path, &id, answer, &item.options)).transpose()?;
            let mut video = VideoRef::file(&item.video, folder.join(&item.video));
            video.bounds = match (item.start, item.end) {
                (None, None) => None,
                (start, end) => {
                    let (start, end) = (start.unwrap_or(0.0), end.unwrap_or(f64::INFINITY));
                    if start.is_nan() || end.is_nan() || start < 0.0 || start >= end {
                        return Err(read::bad(
                            &path,
                            format!(
                                "question {id}: `start` and `end` are {start} and {end}; write seconds from 0 on, in order"
                            ),
                        ));
                    }
                    Some((start, end))
                }
            };
            let mut question = Question::new(id, video, item.question, item.options);
            question.answer = answer;
            question.groups = item.category.map(|category| ("category", category)).into_iter().collect();
            question.subtitles = item.subtitles.map(|subtitles| folder.join(subtitles));
            questions.push(question);
        }
        read::check(&path, questions)
    }

    fn instruction(&self, question: &Question) -> String {
        format!("Respond with only the letter ({}) of the correct option.", letters(question.options.len()))
    }

    fn lmms_eval_prompt(&self, question: &Question) -> String {
        let ending = "Answer with the option's letter from the given choices directly.";
        format!("{}\n{}\n{ending}", question.text, self.options(question))
    }
}

/// The file of questions.
fn file(root: &Path) -> PathBuf {
    let lines = root.join("questions.jsonl");
    match root.is_file() {
        true => root.to_owned(),
        false if lines.exists() => lines,
        false => root.join("questions.json"),
    }
}

fn items(path: &Path) -> Result<Vec<Item>> {
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return read::json(path);
    }
    let bytes = read::bytes(path)?;
    let text = String::from_utf8(bytes).map_err(|_| read::bad(path, "it is no UTF-8 text"))?;
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(place, line)| {
            serde_json::from_str(line).map_err(|error| read::bad(path, format!("line {}: {error}", place + 1)))
        })
        .collect()
}

/// An answer's position: an option's text, or a letter where no option has that text.
fn position(path: &Path, id: &str, answer: &str, options: &[String]) -> Result<usize> {
    let lettered = (0..options.len()).find(|&i| super::data_set::letter(i).to_string() == answer);
    match (read::position(path, id, answer, options), lettered) {
        (Err(_), Some(place)) => Ok(place),
        (found, _) => found,
    }
}
