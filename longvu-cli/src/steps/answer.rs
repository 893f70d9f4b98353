//! One question of a conversation: from its prompt to the streamed answer.

use anyhow::Result;
use longvu::{Answer, EncodedVideo, GenerationConfig, LongVu, compress::FusionReport, llm::Conversation};
use serde::Serialize;

use crate::{
    flags::AnswerArgs,
    output::{self, summary::FrameCounts},
};

/// Everything that answering needs beside the question.
pub struct Answerer<'a> {
    pub model: &'a LongVu,
    /// The video or image, unless only text is asked about.
    pub visual: Option<&'a EncodedVideo>,
    pub config: GenerationConfig,
    /// Whether nothing is printed as answers are generated: they come in one piece afterwards, as JSON for one.
    pub silent: bool,
}

/// What `--json` prints of an answer.
#[derive(Serialize)]
pub struct Printed<'a, T> {
    pub question: &'a str,
    pub answer: &'a str,
    pub finish_reason: Option<longvu::FinishReason>,
    pub prompt_tokens: usize,
    pub cached_tokens: usize,
    pub visual_tokens: usize,
    pub generated_tokens: usize,
    pub frames: FrameCounts,
    pub timings: T,
    pub warnings: &'a [String],
}

impl Answerer<'_> {
    /// Answers the conversation's last question, streaming to stdout unless silent.
    ///
    /// # Errors
    /// As [`LongVu::reply`], and a stdout that cannot be written to.
    pub fn answer(&self, conversation: &Conversation) -> Result<Answer> {
        let visuals: Vec<&EncodedVideo> = self.visual.into_iter().collect();
        let mut stream = self.model.reply(&visuals, conversation, &self.config)?;
        print(&mut stream, self.silent)?;
        Ok(stream.finish()?)
    }

    /// The frames of an answer; `None` without a video or image.
    pub fn frames(&self, answer: &Answer) -> Option<FrameCounts> {
        self.visual.map(|visual| frame_counts(visual, answer))
    }
}

/// Prints the pieces of an answer as they come, unless `silent`.
///
/// # Errors
/// Those of the pieces, and a stdout that cannot be written to.
pub fn print(pieces: &mut impl Iterator<Item = longvu::Result<String>>, silent: bool) -> Result<()> {
    if silent {
        return Ok(());
    }
    for piece in pieces {
        output::text(&piece?)?;
    }
    output::line("")
}

/// The frames of an answer about `visual`.
pub fn frame_counts(visual: &EncodedVideo, answer: &Answer) -> FrameCounts {
    FrameCounts {
        sampled: visual.sampled_frames(),
        repeated: visual.tower_frames().dinov2_repeats,
        kept: answer.reports.iter().map(FusionReport::prompt_frames).sum(),
        full_resolution: answer.reports.iter().map(|report| report.full_frames).sum(),
    }
}

/// The object for `--json`.
pub fn printed<'a, T>(
    question: &'a str,
    answer: &'a Answer,
    frames: Option<FrameCounts>,
    timings: T,
    warnings: &'a [String],
) -> Printed<'a, T> {
    Printed {
        question,
        answer: &answer.text,
        finish_reason: answer.finish_reason,
        prompt_tokens: answer.prompt_tokens,
        cached_tokens: answer.cached_tokens,
        visual_tokens: answer.visual_tokens,
        generated_tokens: answer.generated_ids.len(),
        frames: frames.unwrap_or_default(),
        timings,
        warnings,
    }
}

/// A conversation about a video, or about none.
pub fn conversation(args: &AnswerArgs, visuals: usize) -> Conversation {
    let conversation = Conversation::new(visuals);
    match &args.system {
        Some(system) => conversation.with_system(system),
        None => conversation,
    }
}
