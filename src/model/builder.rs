//! Loading a model.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use longvu_checkpoint::{Limits, Mapping, RepoOptions};
use longvu_core::{Device, Watch, WeightFormat};
use serde_json::{Map, Value};

use crate::{
    Result,
    compress::{FastV, FramePicker, FrameScorer, FrameSelector, Methods, Preset, StageName, StageSpec, TokenPruner},
    encode::{repeats::Repeats, spill::SpillSettings},
    encoded::limits::ENCODED_BYTES,
    error::Error,
    llm,
    model::{files::ModelFiles, longvu::LongVu, residency::Residency, stages::StageSettings},
    plan::{Change, Compute, MemoryPlan, ModelSizes, PlanSettings, Workload},
};

impl LongVu {
    /// Loads a model from a local folder or the Hugging Face Hub, in f32, onto `device`.
    ///
    /// `model` is a path, or a Hub id such as `Vision-CAIR/LongVU_Qwen2_7B` where there is no folder of that name. The
    /// vision towers are looked for beside the model and then on the Hub; [`LongVu::builder`] has more settings.
    ///
    /// # Errors
    /// See [`LongVuBuilder::load`].
    pub fn from_pretrained(model: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::builder(model).device(device).load()
    }

    /// Settings for loading `model`: a path, or a Hub id such as `Vision-CAIR/LongVU_Qwen2_7B` where there is no folder of
    /// that name.
    pub fn builder(model: impl AsRef<Path>) -> LongVuBuilder {
        LongVuBuilder::new(model.as_ref().to_owned(), crate::default_device())
    }
}

/// What to load, where to, and with which settings; made by [`LongVu::builder`].
#[derive(Clone)]
pub struct LongVuBuilder {
    pub(crate) model: PathBuf,
    pub(super) towers: Option<PathBuf>,
    pub(super) device: Device,
    pub(super) weights: WeightFormat,
    pub(super) overrides: Map<String, Value>,
    pub(super) tower_batch: Option<usize>,
    pub(super) residency: Residency,
    pub(super) stages: StageSettings,
    pub(super) spill: SpillSettings,
    pub(super) encoded_bytes: u64,
    pub(super) repo: RepoOptions,
    pub(super) text_limits: llm::Limits,
    pub(super) watch: Watch,
}

impl LongVuBuilder {
    fn new(model: PathBuf, device: Device) -> Self {
        Self {
            model,
            towers: None,
            device,
            weights: WeightFormat::default(),
            overrides: Map::new(),
            tower_batch: None,
            residency: Residency::Whole,
            stages: StageSettings::default(),
            spill: SpillSettings::default(),
            encoded_bytes: ENCODED_BYTES,
            repo: RepoOptions::default(),
            text_limits: llm::Limits::default(),
            watch: Watch::default(),
        }
    }

    /// The device that the model runs on; a CPU unless set.
    #[must_use]
    pub fn device(mut self, device: &Device) -> Self {
        self.device = device.clone();
        self
    }

    /// What weights are held in: a [`Dtype`](longvu_core::Dtype), integers for linear layers
    /// ([`Quantize`](longvu_core::Quantize)), or both ([`WeightFormat`]); f32 unless set. A second call replaces the
    /// first: integers alone go with f32.
    #[must_use]
    pub fn weights(mut self, format: impl Into<WeightFormat>) -> Self {
        self.weights = format.into();
        self
    }

    /// The folder that holds the towers' folders, instead of the model's surroundings and the Hub.
    #[must_use]
    pub fn towers(mut self, folder: impl Into<PathBuf>) -> Self {
        self.towers = Some(folder.into());
        self
    }

    /// Where the stages' settings come from.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.stages = self.stages.with_preset(preset);
        self
    }

    /// Mean similarity from which the temporal stage drops a frame, whatever the preset says.
    #[must_use]
    pub fn dino_threshold(self, threshold: f64) -> Self {
        self.config_value("dino_threshold", number(threshold))
    }

    /// Cosine similarity from which the spatial stage drops a token, whatever the preset says.
    #[must_use]
    pub fn drop_threshold(self, threshold: f64) -> Self {
        self.config_value("drop_threshold", number(threshold))
    }

    /// Longest prompt in tokens, visual tokens included.
    #[must_use]
    pub fn max_len(self, tokens: usize) -> Self {
        self.config_value("tokenizer_model_max_length", tokens)
    }

    /// Replaces any value of the model's `config.json`; a key that nothing reads is an error of whatever reads the file.
    #[must_use]
    pub fn config_value(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.overrides.insert(key.into(), value.into());
        self
    }

    /// Frames that go through a tower at once: more use a GPU better and take more memory.
    #[must_use]
    pub fn tower_batch(mut self, frames: usize) -> Self {
        self.tower_batch = Some(frames);
        self
    }

    /// Which parts are in memory when: all of them unless set.
    #[must_use]
    pub fn residency(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }

    /// Replaces the temporal stage.
    #[must_use]
    pub fn temporal_stage(mut self, stage: Arc<dyn FrameSelector>) -> Self {
        self.stages = self.stages.with_temporal_stage(stage);
        self
    }

    /// Replaces the query-guided stage's score.
    #[must_use]
    pub fn query_stage(mut self, stage: Arc<dyn FrameScorer>) -> Self {
        self.stages = self.stages.with_query_stage(stage);
        self
    }

    /// Replaces the query-guided stage's choice by that score, and decides what becomes of the other frames.
    #[must_use]
    pub fn frame_picker(mut self, picker: Arc<dyn FramePicker>) -> Self {
        self.stages = self.stages.with_frame_picker(picker);
        self
    }

    /// Replaces the spatial stage.
    #[must_use]
    pub fn spatial_stage(mut self, stage: Arc<dyn TokenPruner>) -> Self {
        self.stages = self.stages.with_spatial_stage(stage);
        self
    }

    /// Lets visual tokens leave the language model after its first layers; off unless set.
    ///
    /// Which ones stay depends on the question, so that a chat goes on from no more of an earlier prompt than stood before its first
    /// visual token.
    #[must_use]
    pub fn decoder_stage(mut self, stage: FastV) -> Self {
        self.stages = self.stages.with_decoder_stage(stage);
        self
    }

    /// Most visual tokens of a prompt, newline tokens included: one knob for every combination of stages. As many as the window
    /// has room for unless set.
    #[must_use]
    pub fn visual_tokens(mut self, tokens: usize) -> Self {
        self.stages = self.stages.with_visual_tokens(tokens);
        self
    }

    /// A stage by its name, with settings over those of the preset: `stages.md` lists them, and [`StageName::known`] does. Stages
    /// given as values go before.
    #[must_use]
    pub fn named_stage(mut self, stage: StageName, spec: StageSpec) -> Self {
        self.stages = self.stages.with_named_stage(stage, spec);
        self
    }

    /// What [`named_stage`](Self::named_stage) can name: the built-in stages, and stages of one's own beside them.
    #[must_use]
    pub fn methods(mut self, methods: Methods) -> Self {
        self.stages = self.stages.with_methods(methods);
        self
    }

    /// Whether the temporal stage's report has the similarity of each two frames of a window, for pictures of it; not unless set.
    #[must_use]
    pub fn temporal_similarity(mut self, similarity: bool) -> Self {
        self.stages = self.stages.with_temporal_similarity(similarity);
        self
    }

    /// Which frames are taken for a frame before them, and do not go through the towers: those of the same pixels unless set, which
    /// changes no result.
    #[must_use]
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.stages = self.stages.with_repeats(repeats);
        self
    }

    /// What is too large among the files of the text side, and too much work for a chat template.
    #[must_use]
    pub fn text_limits(mut self, limits: llm::Limits) -> Self {
        self.text_limits = limits;
        self
    }

    /// Frames of a long video that may wait in memory until it is known which of them are kept; 16 unless set. The others
    /// wait in a temporary file. Results do not depend on it.
    #[must_use]
    pub fn waiting_frames(mut self, frames: usize) -> Self {
        self.spill.in_memory = frames;
        self
    }

    /// The folder of that temporary file; the system's (`TMPDIR`) unless set.
    #[must_use]
    pub fn waiting_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spill.folder = Some(folder.into());
        self
    }

    /// Bytes that a saved encoded video may have which [`LongVu::load_encoded`] reads; 4 GiB unless set.
    #[must_use]
    pub fn encoded_bytes(mut self, bytes: u64) -> Self {
        self.encoded_bytes = bytes;
        self
    }

    /// Branch, tag or commit of the model's repository on the Hub.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.repo.revision = Some(revision.into());
        self
    }

    /// What is too large in the model's files.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.repo.limits = limits;
        self
    }

    /// Whether safetensors files are mapped, or read into memory: see [`Mapping`].
    #[must_use]
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.repo.mapping = mapping;
        self
    }

    /// Who hears of downloads and of tensors as they are read, and may stop loading.
    ///
    /// It hears nothing of the loaded model: see [`LongVu::watched`].
    #[must_use]
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Forecasts what a run takes, from configurations and the headers of weights alone.
    ///
    /// With `available` bytes the forecast also says whether they suffice, and what would fit.
    ///
    /// # Errors
    /// Missing files and inconsistent configurations.
    pub fn plan(&self, workload: Workload, available: Option<u64>) -> Result<MemoryPlan> {
        let files = self.files()?;
        let model = ModelSizes::of(&files);
        let compute = Compute::of(&self.device);
        let settings = PlanSettings::new(compute, model.max_len())
            .with_weights(self.weights)
            .with_tower_batch(self.checked_tower_batch()?)
            .with_residency(self.residency)
            .with_decoder_stage(self.stages.fastv()?.is_some());
        Ok(MemoryPlan::new(&model, settings, workload, available))
    }

    /// Makes a run fit in `available` bytes: with [`Residency::OnDemand`] where only that does.
    ///
    /// # Errors
    /// [`Error::Memory`] with settings that would fit, before anything is loaded; and as [`LongVuBuilder::plan`].
    pub fn fit_memory(mut self, workload: Workload, available: u64) -> Result<Self> {
        let plan = self.plan(workload, Some(available))?;
        if plan.fits == Some(true) {
            return Ok(self);
        }
        if plan.advice.iter().any(|advice| advice.changes == [Change::OnDemand]) {
            self.residency = Residency::OnDemand;
            return Ok(self);
        }
        Err(Error::Memory(Box::new(plan)))
    }

    /// Finds the model's files, and reads and checks its configurations.
    ///
    /// # Errors
    /// Missing files and inconsistent configurations.
    pub fn files(&self) -> Result<ModelFiles> {
        let repo = self.repo.clone().with_watch(self.watch.clone());
        ModelFiles::find_with(&self.model, self.towers.as_deref(), &repo, &self.overrides)
    }

    pub(super) fn checked_tower_batch(&self) -> Result<usize> {
        match self.tower_batch.unwrap_or(Compute::of(&self.device).tower_batch()) {
            0 => Err(Error::Setting { name: "tower_batch", value: "0".into(), expected: "use 1 or more" }),
            frames => Ok(frames),
        }
    }
}

/// `value` for a configuration; JSON has no infinite numbers, and whoever reads this text in one's place says so.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}
