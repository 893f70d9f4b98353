//! What tells the answers of one run from another's.

use anyhow::Result;
use longvu::{
    LongVu, Preset,
    compress::{CompressionSettings, StageSpec},
};
use serde::Serialize;

use super::described::stages;
use crate::flags::ModelArgs;

/// What answers depend on, beside the question: two runs that have it in common answer alike.
///
/// The device is left out, so that parts of a run may be computed wherever there is one.
#[derive(Debug, Serialize)]
pub struct Identity {
    /// The last part of the model's name or path.
    name: String,
    revision: Option<String>,
    fingerprint: String,
    model_type: String,
    weights: String,
    max_len: usize,
    preset: String,
    stages: CompressionSettings,
    /// Stages that were named, which go before those of `stages`.
    temporal: Option<String>,
    query: Option<String>,
    spatial: Option<String>,
    decoder: Option<String>,
    budget: Option<usize>,
    /// Levels by which a frame may differ from the one that it is taken for.
    #[serde(skip_serializing_if = "is_zero")]
    repeats: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(levels: &u8) -> bool {
    *levels == 0
}

/// That of a loaded model.
///
/// # Errors
/// Files of the model that cannot be read any more.
pub fn identity(model: &LongVu, args: &ModelArgs, preset: Preset) -> Result<Identity> {
    let name = args.place.model.as_deref().unwrap_or("miniature");
    let named = |spec: &Option<StageSpec>| spec.as_ref().map(ToString::to_string);
    Ok(Identity {
        name: name.trim_end_matches('/').rsplit('/').next().unwrap_or(name).to_owned(),
        revision: args.place.revision.clone(),
        fingerprint: model.fingerprint()?,
        model_type: model.config().model_type.clone(),
        weights: model.weights().to_string(),
        max_len: model.budget().max_len,
        preset: preset.to_string(),
        stages: stages(args, preset, model.config()),
        temporal: named(&args.stages.temporal),
        query: named(&args.stages.query),
        spatial: named(&args.stages.spatial),
        decoder: named(&args.decoder),
        budget: model.budget().visual_tokens,
        repeats: model.repeats().levels(),
    })
}
