//! The list of videos with their questions.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, Result};

/// A video with its questions: a line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchItem {
    /// Its name, by which it is assigned to a part.
    pub id: String,
    /// The path as it is written in the list.
    pub video: String,
    /// Where that is, from the list's folder.
    pub path: PathBuf,
    /// What is asked about it.
    pub questions: Vec<String>,
}

impl BatchItem {
    /// Size of its file; 0 where there is none.
    pub(super) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |there| there.len())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    video: String,
    questions: Vec<String>,
}

/// Reads the lines of a list.
pub fn read(path: &Path) -> Result<Vec<BatchItem>> {
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let bad = |line: usize, reason: String| Error::BadData {
        path: path.to_owned(),
        reason: format!("line {}: {reason}", line + 1),
    };
    let (mut items, mut ids) = (Vec::new(), HashSet::new());
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Written { id, video, questions } =
            serde_json::from_slice(line).map_err(|error| bad(number, format!("{error}; write {FORM}")))?;
        if !ids.insert(id.clone()) {
            return Err(bad(number, format!("another video has the id `{id}`; each needs its own")));
        }
        if questions.is_empty() || questions.iter().any(|question| question.trim().is_empty()) {
            return Err(bad(number, "each video needs questions, and none of them empty".into()));
        }
        items.push(BatchItem { path: folder.join(&video), id, video, questions });
    }
    match items.is_empty() {
        true => Err(Error::BadData { path: path.to_owned(), reason: format!("it lists no video; write {FORM}") }),
        false => Ok(items),
    }
}

const FORM: &str = r#"a line {"id": "…", "video": "…", "questions": ["…"]} for each"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_wrong_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.jsonl");
        let reads = |text: &str| {
            fs::write(&path, text).unwrap();
            read(&path)
        };
        let good = r#"{"id": "a", "video": "x/a.mp4", "questions": ["What?", "Who?"]}"#;
        let items = reads(&format!("{good}\n\n")).unwrap();
        assert_eq!((items.len(), &items[0].path), (1, &folder.path().join("x/a.mp4")));
        for (text, part) in [
            (format!("{good}\n{good}\n"), "line 2: another video has the id `a`"),
            (format!("{good}\n{{}}\n"), "line 2: missing field"),
            (r#"{"id": "a", "video": "a", "questions": []}"#.into(), "line 1: each video needs questions"),
            (r#"{"id": "a", "video": "a", "questions": ["x"], "fps": 1}"#.into(), "unknown field `fps`"),
            (String::new(), "lists no video"),
        ] {
            let error = reads(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
