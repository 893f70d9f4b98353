//! What became of a request's videos, for whoever asked.

use longvu::{Answer, EncodedVideo, FrameFate, LongVu, VisualExplanation};

use super::looking::Looked;
use crate::{
    api_error::ApiError,
    protocol::{
        extension::Seconds,
        response::{Report, VisualReport},
    },
};

/// The report of an answer about `looked`.
///
/// # Errors
/// An answer that is not about them, which is this server's fault.
pub(crate) fn report(
    model: &LongVu,
    looked: &[Looked],
    answer: &Answer,
    seconds: Seconds,
    frames: bool,
    ignored: Vec<String>,
) -> Result<Report, ApiError> {
    let visuals: Vec<&EncodedVideo> = looked.iter().map(Looked::video).collect();
    let explanation = model.explain(&visuals, answer).map_err(|error| ApiError::of(&error))?;
    let visuals = looked.iter().zip(explanation.visuals).map(|(looked, visual)| visual_report(looked, visual, frames));
    let (positions, used) =
        (model.config().decoder.max_position_embeddings, answer.prompt_tokens + answer.generated_ids.len());
    let beyond = (used > positions).then(|| {
        format!("prompt and answer have {used} positions, and the model knows {positions}: what it said after them is worth little")
    });
    let warnings = beyond.into_iter().collect();
    Ok(Report { visuals: visuals.collect(), window: explanation.window, seconds, warnings, ignored })
}

fn visual_report(looked: &Looked, visual: VisualExplanation, frames: bool) -> VisualReport {
    let count = |fate: FrameFate| visual.frames.iter().filter(|frame| frame.fate == fate).count();
    let (full, low) = (count(FrameFate::Full), count(FrameFate::Low));
    VisualReport {
        name: looked.media().name().to_owned(),
        bytes: looked.media().bytes(),
        key: looked.key(),
        kind: visual.kind,
        dimensions: visual.dimensions,
        frames_sampled: visual.frames.len(),
        frames_repeated: looked.video().tower_frames().dinov2_repeats,
        frames_kept: full + low,
        frames_full: full,
        frames_low: low,
        tokens: visual.frames.iter().map(|frame| frame.tokens).sum(),
        origin: looked.origin(),
        warnings: looked.warnings(),
        frames: frames.then_some(visual.frames),
    }
}
