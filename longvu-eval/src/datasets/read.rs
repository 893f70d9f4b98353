//! Reading data sets' files, with errors that say where.

use std::{collections::HashSet, fs, path::Path};

use serde::de::DeserializeOwned;

use super::data_set::MOST_OPTIONS;
use crate::{Error, Question, Result};

/// A file's bytes.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::read(path))
}

/// A JSON file as a value of a type.
pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = bytes(path)?;
    // Windows' editors begin UTF-8 with a mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text))
        .map_err(|error| bad(path, format!("at {}: {}", error.path(), error.inner())))
}

/// An error about a data set's file.
pub fn bad(path: &Path, reason: impl Into<String>) -> Error {
    Error::BadData { path: path.to_owned(), reason: reason.into() }
}

/// The position of an answer that is given as its option's text.
pub fn position(path: &Path, id: &str, answer: &str, options: &[String]) -> Result<usize> {
    options.iter().position(|option| option == answer).ok_or_else(|| Error::BadQuestion {
        path: path.to_owned(),
        id: id.to_owned(),
        reason: format!("its answer `{answer}` is not among its options: {}", options.join(" | ")),
    })
}

/// Refuses questions that cannot be asked or told apart.
pub fn check(path: &Path, questions: Vec<Question>) -> Result<Vec<Question>> {
    if questions.is_empty() {
        return Err(bad(path, "it has no questions"));
    }
    let mut seen = HashSet::new();
    for question in &questions {
        let wrong = |reason: String| Error::BadQuestion { path: path.to_owned(), id: question.id.clone(), reason };
        if !seen.insert(question.id.as_str()) {
            return Err(wrong("another question has this id; each needs its own".into()));
        }
        if question.text.trim().is_empty() {
            return Err(wrong("it has no text".into()));
        }
        let count = question.options.len();
        if !(2..=MOST_OPTIONS).contains(&count) {
            return Err(wrong(format!("it has {count} options; 2 to {MOST_OPTIONS} can be lettered")));
        }
        if let Some(answer) = question.answer.filter(|&answer| answer >= count) {
            return Err(wrong(format!("its answer is option {answer}, and it has {count}, counted from 0")));
        }
    }
    Ok(questions)
}

/// A video's name as it may stand in a path: relative, and not out of its folder.
pub fn name(path: &Path, name: &str) -> Result<()> {
    let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    match plain && !name.is_empty() {
        true => Ok(()),
        false => Err(bad(path, format!("the video `{name}` is not a path inside the folder of videos"))),
    }
}
