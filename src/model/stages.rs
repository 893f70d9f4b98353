//! The compression stages that a handle to a model uses, and the settings that they are made of.

use std::{fmt, sync::Arc};

use longvu_checkpoint::config::LongVuConfig;

use crate::{
    Error, Result,
    compress::{
        Budget, CompressionSettings, FastV, FramePicker, FrameScorer, FrameSelector, Methods, Preset, QueryStage,
        StageName, StageSpec, TokenPruner, TopK,
    },
    encode::repeats::Repeats,
    model::budget::budget,
};

/// Which stages a model compresses with, as far as they are not to be what they are: a preset, thresholds, stages by name
/// or as values, a bound on visual tokens, what counts as a repeated frame. For
/// [`LongVu::with_stages`](crate::LongVu::with_stages).
///
/// What is not set stays. Of what is set, a threshold goes before the preset's, and a stage given as a value, which has
/// settings of its own, before one by name.
#[derive(Clone, Default)]
pub struct StageSettings {
    pub(super) preset: Option<Preset>,
    dino_threshold: Option<f64>,
    drop_threshold: Option<f64>,
    selector: Option<Arc<dyn FrameSelector>>,
    scorer: Option<Arc<dyn FrameScorer>>,
    picker: Option<Arc<dyn FramePicker>>,
    pruner: Option<Arc<dyn TokenPruner>>,
    fastv: Option<FastV>,
    named: NamedStages,
    methods: Option<Methods>,
    visual_tokens: Option<usize>,
    similarity: Option<bool>,
    repeats: Option<Repeats>,
}

impl StageSettings {
    /// Where the stages' settings come from.
    #[must_use]
    pub fn with_preset(mut self, preset: Preset) -> Self {
        self.preset = Some(preset);
        self
    }

    /// Mean similarity from which the temporal stage drops a frame, whatever the preset says.
    #[must_use]
    pub fn with_dino_threshold(mut self, threshold: f64) -> Self {
        self.dino_threshold = Some(threshold);
        self
    }

    /// Cosine similarity from which the spatial stage drops a token, whatever the preset says.
    #[must_use]
    pub fn with_drop_threshold(mut self, threshold: f64) -> Self {
        self.drop_threshold = Some(threshold);
        self
    }

    /// Most visual tokens of a prompt, newline tokens included.
    #[must_use]
    pub fn with_visual_tokens(mut self, tokens: usize) -> Self {
        self.visual_tokens = Some(tokens);
        self
    }

    /// A stage by its name, with settings over those of the preset; it replaces one that was given as a value before.
    #[must_use]
    pub fn with_named_stage(mut self, stage: StageName, spec: StageSpec) -> Self {
        self.named.set(stage, spec);
        self
    }

    /// What [`with_named_stage`](Self::with_named_stage) can name.
    #[must_use]
    pub fn with_methods(mut self, methods: Methods) -> Self {
        self.methods = Some(methods);
        self
    }

    /// The temporal stage as a value.
    #[must_use]
    pub fn with_temporal_stage(mut self, stage: Arc<dyn FrameSelector>) -> Self {
        self.selector = Some(stage);
        self
    }

    /// The query-guided stage's score as a value.
    #[must_use]
    pub fn with_query_stage(mut self, stage: Arc<dyn FrameScorer>) -> Self {
        self.scorer = Some(stage);
        self
    }

    /// The query-guided stage's choice by that score as a value.
    #[must_use]
    pub fn with_frame_picker(mut self, picker: Arc<dyn FramePicker>) -> Self {
        self.picker = Some(picker);
        self
    }

    /// The spatial stage as a value.
    #[must_use]
    pub fn with_spatial_stage(mut self, stage: Arc<dyn TokenPruner>) -> Self {
        self.pruner = Some(stage);
        self
    }

    /// Visual tokens that leave the language model after its first layers.
    #[must_use]
    pub fn with_decoder_stage(mut self, stage: FastV) -> Self {
        self.fastv = Some(stage);
        self
    }

    /// Whether the temporal stage's report has the similarity of each two frames of a window.
    #[must_use]
    pub fn with_temporal_similarity(mut self, similarity: bool) -> Self {
        self.similarity = Some(similarity);
        self
    }

    /// Which frames are taken for a frame before them, and do not go through the towers.
    #[must_use]
    pub fn with_repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = Some(repeats);
        self
    }

    /// What goes on in the language model.
    pub(super) fn fastv(&self) -> Result<Option<FastV>> {
        match (self.fastv, self.named.get(StageName::Decoder)) {
            (Some(fastv), _) => Ok(Some(fastv)),
            (None, Some(spec)) => Ok(spec.decoder()?),
            (None, None) => Ok(None),
        }
    }

    /// These settings with those that `over` sets. A stage that `over` names replaces one that was a value.
    pub(super) fn overlaid(&self, over: &Self) -> Self {
        let mut named = self.named.clone();
        over.named.0.iter().for_each(|(name, spec)| named.set(*name, spec.clone()));
        let keep = |name| over.named.get(name).is_none();
        let (selector, picker) = (self.selector.clone(), self.picker.clone());
        let (pruner, fastv) = (self.pruner.clone(), self.fastv);
        Self {
            preset: over.preset.or(self.preset),
            dino_threshold: over.dino_threshold.or(self.dino_threshold),
            drop_threshold: over.drop_threshold.or(self.drop_threshold),
            selector: over.selector.clone().or(selector.filter(|_| keep(StageName::Temporal))),
            scorer: over.scorer.clone().or_else(|| self.scorer.clone()),
            picker: over.picker.clone().or(picker.filter(|_| keep(StageName::QueryGuided))),
            pruner: over.pruner.clone().or(pruner.filter(|_| keep(StageName::Spatial))),
            fastv: over.fastv.or(fastv.filter(|_| keep(StageName::Decoder))),
            named,
            methods: over.methods.clone().or_else(|| self.methods.clone()),
            visual_tokens: over.visual_tokens.or(self.visual_tokens),
            similarity: over.similarity.or(self.similarity),
            repeats: over.repeats.or(self.repeats),
        }
    }

    /// The settings of stages that are not values, with a checkpoint's thresholds where nothing else is said.
    fn compression(&self, config: &LongVuConfig) -> Result<CompressionSettings> {
        let preset = self.preset.unwrap_or_default();
        let mut settings = preset.settings(config.dino_threshold, config.drop_threshold);
        if let Some(threshold) = self.dino_threshold {
            settings.temporal.threshold = finite("dino_threshold", threshold)?;
        }
        if let Some(threshold) = self.drop_threshold {
            settings.spatial.threshold = finite("drop_threshold", threshold)?;
        }
        Ok(settings)
    }
}

impl fmt::Debug for StageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageSettings")
            .field("preset", &self.preset)
            .field("dino_threshold", &self.dino_threshold)
            .field("drop_threshold", &self.drop_threshold)
            .field("visual_tokens", &self.visual_tokens)
            .field("repeats", &self.repeats)
            .field("named", &self.named.0)
            .finish_non_exhaustive()
    }
}

fn finite(name: &'static str, value: f64) -> Result<f64> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(Error::Setting { name, value: value.to_string(), expected: "use a finite number" })
}

/// Stages that were asked for by name.
#[derive(Clone, Default)]
struct NamedStages(Vec<(StageName, StageSpec)>);

impl NamedStages {
    fn set(&mut self, stage: StageName, spec: StageSpec) {
        self.0.retain(|(known, _)| *known != stage);
        self.0.push((stage, spec));
    }

    fn get(&self, stage: StageName) -> Option<&StageSpec> {
        self.0.iter().find(|(known, _)| *known == stage).map(|(_, spec)| spec)
    }
}

/// The compression stages and the budget that they serve.
pub(crate) struct Stages {
    /// What they were made of.
    pub settings: StageSettings,
    /// What stages that are not values were made of.
    pub compression: CompressionSettings,
    pub budget: Budget,
    pub selector: Arc<dyn FrameSelector>,
    /// Whether the selector is the caller's.
    pub own_selector: bool,
    /// Whether the temporal report has the windows' similarities.
    pub similarity: bool,
    /// Which frames do not go through the towers.
    pub repeats: Repeats,
    pub scorer: Arc<dyn FrameScorer>,
    pub picker: Arc<dyn FramePicker>,
    pub pruner: Arc<dyn TokenPruner>,
    /// What goes on in the language model.
    pub fastv: Option<FastV>,
}

impl Stages {
    /// The stages that `settings` say, of a checkpoint.
    ///
    /// # Errors
    /// Thresholds that are no numbers, names and settings of stages that there are not, and stages that exclude each other.
    pub fn new(settings: StageSettings, config: &LongVuConfig) -> Result<Self> {
        let compression = settings.compression(config)?;
        let named = |stage| settings.named.get(stage);
        let methods = settings.methods.clone().unwrap_or_default();
        let stages = Self {
            budget: budget(config).with_visual_tokens(settings.visual_tokens),
            own_selector: settings.selector.is_some()
                || named(StageName::Temporal).is_some_and(|spec| methods.is_own(StageName::Temporal, spec)),
            similarity: settings.similarity.unwrap_or_default(),
            repeats: settings.repeats.unwrap_or_default(),
            selector: match (&settings.selector, named(StageName::Temporal)) {
                (Some(selector), _) => selector.clone(),
                (None, Some(spec)) => methods.selector(spec, compression.temporal)?,
                (None, None) => Arc::new(compression.temporal),
            },
            scorer: settings.scorer.clone().unwrap_or_else(|| Arc::new(QueryStage)),
            picker: match (&settings.picker, named(StageName::QueryGuided)) {
                (Some(picker), _) => picker.clone(),
                (None, Some(spec)) => methods.picker(spec)?,
                (None, None) => Arc::new(TopK::default()),
            },
            pruner: match (&settings.pruner, named(StageName::Spatial)) {
                (Some(pruner), _) => pruner.clone(),
                (None, Some(spec)) => methods.pruner(spec, compression.spatial)?,
                (None, None) => Arc::new(compression.spatial),
            },
            fastv: settings.fastv()?.map(|fastv| checked(fastv, config.decoder.num_hidden_layers)).transpose()?,
            compression,
            settings,
        };
        stages.check_together()?;
        Ok(stages)
    }

    fn check_together(&self) -> Result<()> {
        let named = self.settings.named.get(StageName::QueryGuided);
        let picks = self.settings.picker.is_some() || named.is_some_and(|spec| spec.name() != "long-vu");
        if picks && self.pruner.always() {
            return Err(Error::Setting {
                name: "spatial_stage",
                value: "one that runs on every video, beside a choice of frames".into(),
                expected: "name one of the two: either frames are chosen, or tokens of all frames",
            });
        }
        Ok(())
    }
}

/// `fastv`, if a language model of so many layers can do it.
fn checked(fastv: FastV, layers: usize) -> Result<FastV> {
    let bad = |value, expected| Err(Error::Setting { name: "decoder_stage", value, expected });
    if fastv.k == 0 || fastv.k >= layers {
        let value = format!("FastV after {} layers of {layers}", fastv.k);
        return bad(value, "use 1 or more for k, and fewer than the language model has");
    }
    if !(0.0..=1.0).contains(&fastv.r) {
        return bad(format!("FastV with r = {}", fastv.r), "use a share from 0 to 1");
    }
    Ok(fastv)
}
