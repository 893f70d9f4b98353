//! What a data set is, and what they share.

use std::path::Path;

use longvu::Preset;
use serde::Serialize;

use crate::{AnswerLine, FrameRule, LetterRule, Question, Result};

/// How a data set's own score is made of its questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverallRule {
    /// The share of right answers among all questions.
    Pooled,
    /// The mean of the shares of this kind of group, however many questions each has.
    MeanOf(&'static str),
}

/// A score that was published, to set beside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Published {
    /// Of which model.
    pub model: &'static str,
    /// Of which questions: `overall`, or a group's value.
    pub of: &'static str,
    /// In percent.
    pub score: f64,
}

pub(super) const fn published(model: &'static str, of: &'static str, score: f64) -> Published {
    Published { model, of, score }
}

pub(super) const QWEN: &str = "LongVU-Qwen2-7B";
pub(super) const LLAMA: &str = "LongVU-Llama3.2-3B";

/// Questions about videos in a folder, how the published package asks them, and how they are scored.
pub trait DataSet: Send + Sync {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// The compression settings that the package's script for it has.
    fn preset(&self) -> Preset;

    /// The frames that the script looks at.
    fn frames(&self) -> FrameRule;

    /// Reads the questions, in the data set's order. Videos need not be there.
    ///
    /// # Errors
    /// Files that are missing or not as published, and questions whose answer is not among their options.
    fn questions(&self, root: &Path) -> Result<Vec<Question>>;

    /// The options as they stand in a prompt, one a line.
    fn options(&self, question: &Question) -> String {
        lettered(&question.options)
    }

    /// The last line of the package's prompt, with a line end after it where the script has one.
    fn instruction(&self, question: &Question) -> String;

    /// What the package's script takes with a letter.
    fn letter_rule(&self) -> LetterRule {
        LetterRule::Bare
    }

    /// The text that lmms-eval would ask, without subtitles.
    fn lmms_eval_prompt(&self, question: &Question) -> String;

    /// How its score is made.
    fn overall(&self) -> OverallRule {
        OverallRule::Pooled
    }

    /// What was published for LongVU.
    fn published(&self) -> &'static [Published] {
        &[]
    }

    /// Files that its leaderboard takes: their names and contents.
    fn submission(&self, _answers: &[AnswerLine]) -> Result<Vec<(&'static str, Vec<u8>)>> {
        Ok(Vec::new())
    }
}

/// The letter of an option: A for 0.
pub(crate) fn letter(index: usize) -> char {
    u8::try_from(index)
        .ok()
        .and_then(|index| (b'A').checked_add(index))
        .filter(u8::is_ascii_uppercase)
        .map_or('?', char::from)
}

/// `(A) text`, one a line.
fn lettered(options: &[String]) -> String {
    let lines: Vec<String> = options.iter().enumerate().map(|(i, text)| format!("({}) {text}", letter(i))).collect();
    lines.join("\n")
}

/// `A, B, C or D`.
pub(super) fn letters(options: usize) -> String {
    let all: Vec<String> = (0..options).map(|i| letter(i).to_string()).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

/// Most options that a question may have: those that have a letter.
pub(crate) const MOST_OPTIONS: usize = 26;
