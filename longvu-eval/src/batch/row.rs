//! A question of a batch as it was answered.

use longvu::{Answer, EncodedVideo};
use serde::{Deserialize, Serialize};

use super::BatchItem;

/// A row of a part's file: a question, its answer, what was kept of the video, and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchRow {
    /// The video's name in the list.
    pub id: String,
    /// Its path as the list has it.
    pub video: String,
    /// Which of its questions, from 0.
    pub question_index: usize,
    /// The question.
    pub question: String,
    /// The answer, unless there is an error.
    pub answer: Option<String>,
    /// Why the answer ended: `stop`, `length` or `stop_string`.
    pub finish_reason: Option<String>,
    /// Why there is no answer.
    pub error: Option<String>,
    /// What was wrong with the video, though frames came.
    pub warnings: Vec<String>,
    /// Frames that were sampled.
    pub sampled_frames: usize,
    /// Frames that the towers were spared, for they repeat another.
    #[serde(default)]
    pub repeated_frames: usize,
    /// Indices, among the video's frames, of those that the prompt has anything of.
    pub kept_frames: Vec<usize>,
    /// Their times in seconds.
    pub kept_times: Vec<f64>,
    /// Their tokens in the prompt.
    pub kept_tokens: Vec<usize>,
    /// How many of them are at full resolution.
    pub full_frames: usize,
    /// Visual tokens of the prompt.
    pub visual_tokens: usize,
    /// Positions of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub generated_tokens: usize,
    /// Bytes of the video's file.
    #[serde(default)]
    pub video_bytes: u64,
    /// Seconds that the video took, with the first of its questions; 0 with the others.
    pub encode_seconds: f64,
    /// Seconds from the prompt to the end of the answer.
    pub answer_seconds: f64,
}

impl BatchRow {
    pub(super) fn new(item: &BatchItem, question: usize) -> Self {
        Self {
            id: item.id.clone(),
            video: item.video.clone(),
            question_index: question,
            question: item.questions[question].clone(),
            answer: None,
            finish_reason: None,
            error: None,
            warnings: Vec::new(),
            sampled_frames: 0,
            repeated_frames: 0,
            kept_frames: Vec::new(),
            kept_times: Vec::new(),
            kept_tokens: Vec::new(),
            full_frames: 0,
            visual_tokens: 0,
            prompt_tokens: 0,
            generated_tokens: 0,
            video_bytes: item.bytes(),
            encode_seconds: 0.0,
            answer_seconds: 0.0,
        }
    }

    pub(super) fn answered(&mut self, encoded: &EncodedVideo, answer: &Answer) {
        self.answer = Some(answer.text.clone());
        self.finish_reason = answer
            .finish_reason
            .and_then(|reason| serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)));
        self.sampled_frames = encoded.sampled_frames();
        self.repeated_frames = encoded.tower_frames().dinov2_repeats;
        if let (Some(selected), Some(report)) = (answer.selected.first(), answer.reports.first()) {
            for (&sample, &tokens) in selected.iter().zip(&report.tokens_per_frame) {
                if let Some(frame) = encoded.samples().get(sample).filter(|_| tokens > 0) {
                    self.kept_frames.push(frame.index);
                    self.kept_times.push(frame.timestamp);
                    self.kept_tokens.push(tokens);
                }
            }
            self.full_frames = report.full_frames;
        }
        self.visual_tokens = answer.visual_tokens;
        self.prompt_tokens = answer.prompt_tokens;
        self.generated_tokens = answer.generated_ids.len();
    }
}
