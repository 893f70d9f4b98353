//! A loaded model and its settings, as reports have them.

use longvu::{
    LongVu, Preset,
    checkpoint::config::LongVuConfig,
    compress::{Budget, CompressionSettings, StageSpec},
};
use serde::Serialize;

use crate::flags::ModelArgs;

/// Which model it was, and how it was run.
#[derive(Debug, Serialize)]
pub struct ModelReport {
    pub name: String,
    pub revision: Option<String>,
    pub model_type: String,
    pub device: String,
    pub dtype: String,
    pub preset: String,
    pub stages: CompressionSettings,
    /// Stages that were named, which go before those of `stages`.
    pub temporal: Option<String>,
    pub query: Option<String>,
    pub spatial: Option<String>,
    pub decoder: Option<String>,
    /// Levels by which a frame may differ from the one that it is taken for, or `off`.
    pub repeats: String,
    pub budget: Budget,
}

impl ModelReport {
    /// What `args` and `preset` made of `model`.
    pub fn new(args: &ModelArgs, preset: Preset, model: &LongVu) -> Self {
        let named = |spec: &Option<StageSpec>| spec.as_ref().map(ToString::to_string);
        Self {
            name: args.place.model.as_deref().unwrap_or("miniature").to_owned(),
            revision: args.place.revision.clone(),
            model_type: model.config().model_type.clone(),
            device: format!("{:?}", model.device()),
            dtype: model.weights().dtype.to_string(),
            preset: preset.to_string(),
            stages: stages(args, preset, model.config()),
            temporal: named(&args.stages.temporal),
            query: named(&args.stages.query),
            spatial: named(&args.stages.spatial),
            decoder: named(&args.decoder),
            repeats: model.repeats().to_string(),
            budget: model.budget(),
        }
    }
}

/// The settings that the stages had.
pub fn stages(args: &ModelArgs, preset: Preset, config: &LongVuConfig) -> CompressionSettings {
    let mut settings = preset.settings(config.dino_threshold, config.drop_threshold);
    settings.temporal.threshold = args.dino_threshold.unwrap_or(settings.temporal.threshold);
    settings.spatial.threshold = args.drop_threshold.unwrap_or(settings.spatial.threshold);
    settings
}
