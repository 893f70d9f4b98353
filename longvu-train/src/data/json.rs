//! Questions and answers about files, in the published package's format.

use std::path::{Component, Path, PathBuf};

use longvu_checkpoint::files::read_limited;
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result, limits::DATA_BYTES};

/// What a record asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Media {
    /// A video file.
    Video(PathBuf),
    /// A picture file.
    Image(PathBuf),
}

/// Questions and answers about a video, a picture, or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Its `id`, or its place in the file.
    pub id: String,
    /// What it asks about.
    pub media: Option<Media>,
    /// Questions, without placeholder, and answers.
    pub turns: Vec<(String, String)>,
}

impl Record {
    /// Questions, without placeholder, and answers about `media`.
    pub fn new(id: impl Into<String>, media: Option<Media>, turns: Vec<(String, String)>) -> Self {
        Self { id: id.into(), media, turns }
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    video: Option<String>,
    #[serde(default)]
    image: Option<String>,
    conversations: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    from: String,
    value: String,
}

/// Where the video or picture goes in a question.
const PLACEHOLDERS: [&str; 2] = ["<image>", "<video>"];

/// Reads a list of records (`.json`) or one a line (`.jsonl`); their files are looked for in `media`.
///
/// A record names files inside `media` alone: no absolute path, and none with `..` in it. Links that lie there are followed.
///
/// # Errors
/// A file that cannot be read, and the first record that cannot be used: with files that are not there or not inside
/// `media`, turns out of order, an empty text, or a placeholder without a file or a file without a placeholder.
pub fn read_records(path: &Path, media: &Path) -> Result<Vec<Record>> {
    let bytes = read_limited(path, DATA_BYTES).map_err(Error::read(path))?;
    let wrong = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = String::from_utf8(bytes).map_err(|error| wrong(format!("it is no UTF-8 text ({error})")))?;
    // Some editors begin a file with a byte-order mark.
    let text = text.trim_start_matches('\u{feff}');
    let values: Vec<Value> = if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parsed = lines
            .map(|(i, line)| serde_json::from_str(line).map_err(|error| wrong(format!("line {}: {error}", i + 1))));
        parsed.collect::<Result<_>>()?
    } else {
        serde_json::from_str(text).map_err(|error| wrong(format!("{error}; a list of records is expected")))?
    };
    if values.is_empty() {
        return Err(wrong("it has no records".into()));
    }
    let records = values.into_iter().enumerate().map(|(i, value)| {
        let id = match &value["id"] {
            Value::String(id) => id.clone(),
            Value::Null => i.to_string(),
            other => other.to_string(),
        };
        let read = Raw::deserialize(value).map_err(|error| error.to_string()).and_then(|raw| record(raw, &id, media));
        read.map_err(|reason| wrong(format!("record {} (`{id}`): {reason}", i + 1)))
    });
    records.collect()
}

fn record(raw: Raw, id: &str, folder: &Path) -> Result<Record, String> {
    let media = match (raw.video, raw.image) {
        (Some(video), None) => Some(Media::Video(inside(folder, &video)?)),
        (None, Some(image)) => Some(Media::Image(inside(folder, &image)?)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err("it has both a `video` and an `image`".into()),
    };
    if let Some(Media::Video(path) | Media::Image(path)) = &media
        && !path.is_file()
    {
        return Err(format!("{} is not there; name the media folder that paths start from", path.display()));
    }
    let mut turns = Vec::new();
    let mut pairs = raw.conversations.chunks_exact(2);
    for pair in &mut pairs {
        let (question, answer) = (&pair[0], &pair[1]);
        let is_question = matches!(question.from.as_str(), "human" | "user");
        if !is_question || !matches!(answer.from.as_str(), "gpt" | "assistant") {
            return Err(format!(
                "`{}` and `{}` follow each other; `human` and `gpt` should",
                question.from, answer.from
            ));
        }
        let answer = answer.value.trim();
        if answer.is_empty() {
            return Err("an answer is empty".into());
        }
        turns.push((question.value.clone(), answer.to_owned()));
    }
    if turns.is_empty() || !pairs.remainder().is_empty() {
        return Err("`conversations` should be questions that each have an answer".into());
    }
    strip_placeholders(&mut turns, media.is_some())?;
    Ok(Record { id: id.to_owned(), media, turns })
}

/// The file that a record names, in `folder` or below.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = Path::new(name);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !stays || name.is_empty() {
        return Err(format!("`{name}` is not inside the media folder; name files in it or below, without `..`"));
    }
    Ok(folder.join(path))
}

/// Takes the placeholder from the first question: it goes before the text whatever a record says, as when asked.
fn strip_placeholders(turns: &mut [(String, String)], has_media: bool) -> Result<(), String> {
    let count = |text: &str| PLACEHOLDERS.iter().map(|mark| text.matches(mark).count()).sum::<usize>();
    let (first, rest) = match turns.split_first_mut() {
        Some((first, rest)) => (first, rest),
        None => return Ok(()),
    };
    match (count(&first.0), has_media) {
        (0, true) => return Err("its first question lacks the placeholder `<image>`".into()),
        (1.., false) => return Err("its first question has a placeholder, but there is no `video` or `image`".into()),
        (2.., true) => return Err("its first question has more than one placeholder".into()),
        _ => {}
    }
    if rest.iter().any(|(question, answer)| count(question) + count(answer) > 0) || count(&first.1) > 0 {
        return Err("a placeholder stands outside of the first question".into());
    }
    for mark in PLACEHOLDERS {
        first.0 = first.0.replace(mark, "");
    }
    for (question, _) in turns {
        *question = question.trim().to_owned();
        if question.is_empty() {
            return Err("a question is empty".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Record>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.mp4"), "").unwrap();
        std::fs::write(folder.path().join("b.png"), "").unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_records(&path, folder.path())
    }

    const VIDEO: &str = r#"{ "id": "v1", "video": "a.mp4", "conversations": [
        { "from": "human", "value": "<image>\nWhat is it?" }, { "from": "gpt", "value": "A cat. " },
        { "from": "human", "value": "Where?" }, { "from": "gpt", "value": "Outside." }] }"#;
    const TEXT: &str =
        r#"{"id": 7, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}"#;

    #[test]
    fn records_are_read_from_lists_and_lines() {
        let image = r#"{ "image": "b.png", "conversations": [
            { "from": "human", "value": "What is it?\n<image>" }, { "from": "gpt", "value": "A dog." }] }"#;
        let records = read("data.json", &format!("[{VIDEO}, {image}, {TEXT}]")).unwrap();
        let turn = |question: &str, answer: &str| (question.to_owned(), answer.to_owned());
        assert_eq!(records[0].id, "v1");
        assert!(matches!(&records[0].media, Some(Media::Video(path)) if path.ends_with("a.mp4")));
        assert_eq!(records[0].turns, [turn("What is it?", "A cat."), turn("Where?", "Outside.")]);
        assert!(matches!(&records[1].media, Some(Media::Image(path)) if path.ends_with("b.png")));
        assert_eq!(records[1].turns, [turn("What is it?", "A dog.")]);
        assert_eq!((records[2].id.as_str(), &records[2].media), ("7", &None));
        for name in ["data.jsonl", "data.JSONL"] {
            assert_eq!(read(name, &format!("\u{feff}{TEXT}\n\n{TEXT}\n")).unwrap().len(), 2);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |from: &str, to: &str| format!("[{TEXT}, {}]", VIDEO.replace(from, to));
        for (text, part) in [
            ("[]".to_owned(), "no records"),
            ("{}".to_owned(), "list of records"),
            (with("a.mp4", "c.mp4"), "record 2 (`v1`)"),
            (with("a.mp4", "c.mp4"), "c.mp4 is not there"),
            (with("a.mp4", "../a.mp4"), "`../a.mp4` is not inside the media folder"),
            (with("a.mp4", "x/../../a.mp4"), "not inside the media folder"),
            (with("a.mp4", "/etc/hostname"), "`/etc/hostname` is not inside"),
            (with("<image>", ""), "lacks the placeholder"),
            (with("<image>", "<image><video>"), "more than one placeholder"),
            (with("Where?", "Where? <image>"), "outside of the first question"),
            (with(r#""video": "a.mp4","#, ""), "no `video` or `image`"),
            (with(r#""video": "a.mp4","#, r#""video": "a.mp4", "image": "b.png","#), "both"),
            (with("Outside.", " "), "an answer is empty"),
            (with(r#"{ "from": "human", "value": "Where?" },"#, ""), "each have an answer"),
            (with("human", "system"), "`human` and `gpt`"),
            (with("conversations", "turns"), "record 2 (`v1`): missing field `conversations`"),
            (with(r#""a.mp4""#, r#"["a.mp4"]"#), "record 2 (`v1`): invalid type"),
            (format!("[{TEXT}, 3]"), "record 2 (`1`): invalid type"),
        ] {
            let error = read("data.json", &text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("data.json"), "{part}: {error}");
        }
    }
}
