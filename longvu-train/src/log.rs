//! The log of a run, a JSON object a line.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use longvu_checkpoint::atomic;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// What is said of some steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// The stage.
    pub stage: String,
    /// Steps done.
    pub step: usize,
    /// Mean loss since the last line.
    pub loss: f64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Norm of the last step's gradients, before clipping.
    pub grad_norm: f64,
    /// Samples seen.
    pub samples: u64,
    /// Seconds that the stage has taken so far, over all of its sittings.
    pub seconds: f64,
    /// Measures on held-out data, where they were taken; in the file, `null` stands for those that are no numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "measures")]
    pub validation: BTreeMap<String, f64>,
}

fn measures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let measures = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(measures.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

/// A log that is written to.
pub(crate) struct TrainingLog {
    path: PathBuf,
    file: File,
    /// What the stage has taken before it was opened.
    pub seconds_before: f64,
}

impl TrainingLog {
    /// Opens the log at `path` for a stage that goes on after `step`; what an earlier run said of later steps goes.
    pub fn open(path: &Path, stage: &str, step: usize) -> Result<Self> {
        let old = if path.exists() { fs::read_to_string(path).map_err(Error::read(path))? } else { String::new() };
        let is_kept = |line: &LogLine| line.stage != stage || line.step <= step;
        // Lines stay as they are: numbers that are read and written again may lose their last digit.
        let lines = complete_lines(&old).zip(parse(path, &old)?);
        let (mut text, mut seconds_before) = (String::new(), 0.0);
        for (line, parsed) in lines.filter(|(_, line)| is_kept(line)) {
            text.extend([line, "\n"]);
            if parsed.stage == stage {
                seconds_before = parsed.seconds;
            }
        }
        atomic::write(path, text.as_bytes()).map_err(Error::write(path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::write(path))?;
        Ok(Self { path: path.to_owned(), file, seconds_before })
    }

    /// Adds a line.
    pub fn append(&mut self, line: &LogLine) -> Result<()> {
        self.file.write_all(text(line).as_bytes()).map_err(Error::write(&self.path))
    }
}

fn text(line: &LogLine) -> String {
    serde_json::to_string(line).map(|json| json + "\n").unwrap_or_default()
}

/// Reads the log of a run. A last line that a killed run left unfinished is passed over.
///
/// # Errors
/// A file that cannot be read, or has other lines that are none of a log's.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>> {
    parse(path, &fs::read_to_string(path).map_err(Error::read(path))?)
}

fn complete_lines(text: &str) -> impl Iterator<Item = &str> {
    text.rfind('\n').map_or("", |end| &text[..end]).lines()
}

fn parse(path: &Path, text: &str) -> Result<Vec<LogLine>> {
    let lines = complete_lines(text).enumerate().map(|(i, line)| {
        serde_json::from_str(line).map_err(|error| {
            let reason = format!("line {}: {error}", i + 1);
            Error::File { path: path.to_owned(), reason }
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: &str, step: usize) -> LogLine {
        LogLine {
            stage: stage.into(),
            step,
            loss: 0.1 * step as f64,
            lr: 1e-3,
            grad_norm: 1.0,
            samples: 8 * step as u64,
            seconds: 0.5 * step as f64,
            validation: BTreeMap::from([("loss".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn a_resumed_stage_says_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = TrainingLog::open(&path, "a", 0).unwrap();
        (1..=4).for_each(|step| log.append(&line("a", 10 * step)).unwrap());
        log.append(&line("b", 50)).unwrap();
        drop(log);
        // A killed run leaves half a line.
        let text = fs::read_to_string(&path).unwrap() + r#"{"stage":"b","st"#;
        fs::write(&path, text).unwrap();
        let mut log = TrainingLog::open(&path, "a", 20).unwrap();
        assert_eq!(log.seconds_before, line("a", 20).seconds);
        log.append(&line("a", 30)).unwrap();
        let expected = [line("a", 10), line("a", 20), line("b", 50), line("a", 30)];
        assert_eq!(read_log(&path).unwrap(), expected);
        // Values that are no numbers, and such as do not survive parsing, are kept as they were.
        let hard = LogLine { loss: 0.1 + 0.2, lr: 2.0 / 3.0 * 1.1e-3, ..line("a", 30) };
        let nan = LogLine { validation: BTreeMap::from([("loss".to_owned(), f64::NAN)]), ..line("a", 40) };
        [hard, nan].iter().for_each(|line| log.append(line).unwrap());
        let before = fs::read_to_string(&path).unwrap();
        drop(TrainingLog::open(&path, "a", 40).unwrap());
        assert_eq!(TrainingLog::open(&path, "c", 0).unwrap().seconds_before, 0.0);
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert!(read_log(&path).unwrap().pop().unwrap().validation["loss"].is_nan());
        fs::write(&path, "nonsense\n").unwrap();
        assert!(read_log(&path).unwrap_err().to_string().contains("line 1"));
    }
}
