//! What is written down of each question.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A question as it was answered: a line of `answers.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnswerLine {
    /// The question's name.
    pub id: String,
    /// Its place in the data set, from 0.
    pub place: usize,
    /// The video's name, with the part that is meant.
    pub video: String,
    /// What the question counts among.
    pub groups: BTreeMap<String, String>,
    /// The question and its options.
    pub question: String,
    /// The options' texts.
    pub options: Vec<String>,
    /// Position of the right option, where it is published.
    pub answer: Option<usize>,
    /// SHA-256 of the prompt's text.
    pub prompt_sha256: String,
    /// The model's answer as it came; empty where options were chosen by likelihood.
    pub text: String,
    /// The option that was read from it, or was likeliest.
    pub choice: Option<usize>,
    /// Its letter.
    pub letter: Option<char>,
    /// Whether it is the right one; absent where that is not published, or nothing could be asked.
    pub right: Option<bool>,
    /// Probability of each option among them, where they were chosen by likelihood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub likelihoods: Vec<f64>,
    /// Frames of the video.
    pub frames: FrameCount,
    /// Positions of the prompt.
    pub prompt_tokens: usize,
    /// Visual ones of them.
    pub visual_tokens: usize,
    /// Lines of subtitles in the prompt.
    #[serde(default)]
    pub subtitle_lines: usize,
    /// Bytes of the video's file; of a folder's pictures together.
    pub video_bytes: u64,
    /// When it was last changed, in seconds since 1970.
    pub video_changed: u64,
    /// What was wrong with the video, though frames came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Why nothing could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds that it took.
    pub seconds: Seconds,
    /// Fields that a submission repeats.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, String>,
}

/// Frames of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrameCount {
    /// Frames that were sampled.
    pub sampled: usize,
    /// Frames that the towers were spared, for they repeat another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: usize,
    /// Frames that the prompt has anything of.
    pub kept: usize,
    /// Frames at full resolution.
    pub full: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Seconds of a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seconds {
    /// Encoding the video, with the first of its questions; 0 with the others.
    pub encode: f64,
    /// From the prompt to the end of the answer.
    pub answer: f64,
}
