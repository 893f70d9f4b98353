//! Loading a model.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use longvu_checkpoint::{
    Checkpoint, Download, Limits, LoadOptions, Mapping, RepoOptions, check, config::LongVuConfig, load,
};
use longvu_core::{Device, Step, Watch, WeightFormat};
use serde_json::{Map, Value};

use crate::{
    Result,
    compress::{FrameScorer, FrameSelector, Preset, QueryStage, TokenPruner},
    encode::spill::SpillSettings,
    encoded::{fingerprint::fingerprint, limits::ENCODED_BYTES},
    error::Error,
    llm::{self, ChatTemplate, Decoder, Tokenizer, load_eos_token_ids_with},
    model::{
        budget::budget,
        files::{CONNECTOR, ModelFiles},
        longvu::{LongVu, Parts, Stages},
        parts::{Lasting, loader},
        residency::Residency,
        towers::Tower,
    },
    plan::{Change, Compute, MemoryPlan, ModelSizes, PlanSettings, Workload},
    vision::{Dinov2, Siglip},
};

impl LongVu {
    /// Loads a model from a local folder or the Hugging Face Hub, in f32, onto `device`.
    ///
    /// `model` is a path, or a Hub id such as `Vision-CAIR/LongVU_Qwen2_7B` where there is no folder of that name. The vision towers are looked for beside the model and then on the Hub; [`LongVu::builder`] has more settings.
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
    model: PathBuf,
    towers: Option<PathBuf>,
    device: Device,
    weights: WeightFormat,
    preset: Preset,
    overrides: Map<String, Value>,
    tower_batch: Option<usize>,
    residency: Residency,
    selector: Option<Arc<dyn FrameSelector>>,
    scorer: Option<Arc<dyn FrameScorer>>,
    pruner: Option<Arc<dyn TokenPruner>>,
    spill: SpillSettings,
    encoded_bytes: u64,
    repo: RepoOptions,
    text_limits: llm::Limits,
    watch: Watch,
}

impl LongVuBuilder {
    fn new(model: PathBuf, device: Device) -> Self {
        Self {
            model,
            towers: None,
            device,
            weights: WeightFormat::default(),
            preset: Preset::Package,
            overrides: Map::new(),
            tower_batch: None,
            residency: Residency::Whole,
            selector: None,
            scorer: None,
            pruner: None,
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
    /// ([`Quantize`](longvu_core::Quantize)), or both; f32 unless set.
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
        self.preset = preset;
        self
    }

    /// Mean similarity from which the temporal stage drops a frame, whatever the preset says.
    #[must_use]
    pub fn dino_threshold(self, threshold: f64) -> Self {
        self.config_value("dino_threshold", threshold)
    }

    /// Cosine similarity from which the spatial stage drops a token, whatever the preset says.
    #[must_use]
    pub fn drop_threshold(self, threshold: f64) -> Self {
        self.config_value("drop_threshold", threshold)
    }

    /// Longest prompt in tokens, visual tokens included.
    #[must_use]
    pub fn max_len(self, tokens: usize) -> Self {
        self.config_value("tokenizer_model_max_length", tokens)
    }

    /// Replaces any value of the model's `config.json`.
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
        self.selector = Some(stage);
        self
    }

    /// Replaces the query-guided stage's score.
    #[must_use]
    pub fn query_stage(mut self, stage: Arc<dyn FrameScorer>) -> Self {
        self.scorer = Some(stage);
        self
    }

    /// Replaces the spatial stage.
    #[must_use]
    pub fn spatial_stage(mut self, stage: Arc<dyn TokenPruner>) -> Self {
        self.pruner = Some(stage);
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
            .with_residency(self.residency);
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
        let watch = self.watch.clone();
        let told: Download = Arc::new(move |name, done, total| {
            let _ = watch.step(Step::Download, name, Some(total)).done(done);
        });
        let repo = RepoOptions { progress: Some(told), ..self.repo.clone() };
        ModelFiles::find_with(&self.model, self.towers.as_deref(), &repo, &self.overrides)
    }

    /// Finds and checks everything, and loads it as far as its [`Residency`] asks for.
    ///
    /// # Errors
    /// Missing files, unknown or inconsistent configurations, weights that do not fit them, a dtype that the device
    /// lacks, and failed downloads; sizes and shapes are checked before any weight is read.
    pub fn load(self) -> Result<LongVu> {
        self.weights.check_supported(&self.device)?;
        let files = self.files()?;
        let (tokenizer, template, eos_token_ids) = self.load_text(&files)?;
        let stages = self.stages(&files.config)?;
        let checkpoint = Arc::new(Checkpoint::open(&files.repo)?);
        let connector = self.connector_options();
        check(checkpoint.as_ref(), &connector, |w| files.build_connector(w))?;
        let decoder = self.decoder(&files, &checkpoint)?;
        let (siglip, dinov2) = (self.siglip(&files)?, self.dinov2(&files)?);
        let (aggregator, projector) = load(checkpoint, &connector, |w| files.build_connector(w))?.0;
        let fingerprint = fingerprint(&files)?;
        let model = LongVu::from_parts(Parts {
            device: self.device,
            weights: self.weights,
            residency: self.residency,
            siglip,
            dinov2,
            aggregator,
            projector,
            decoder,
            tokenizer,
            template,
            eos_token_ids,
            stages,
            spill: self.spill,
            encoded_bytes: self.encoded_bytes,
            fingerprint,
            work: Arc::default(),
            config: files.config,
        });
        if self.residency != Residency::OnDemand {
            model.watched(self.watch).load_parts()?;
        }
        Ok(model)
    }

    fn connector_options(&self) -> LoadOptions {
        LoadOptions::new("vision connector", &self.device, self.weights.dtype)
            .with_prefixes(CONNECTOR)
            .with_watch(self.watch.clone())
    }

    fn quantized_options(&self, part: &str) -> LoadOptions {
        LoadOptions::new(part, &self.device, self.weights)
    }

    fn decoder(&self, files: &ModelFiles, checkpoint: &Arc<Checkpoint>) -> Result<Lasting<Decoder>> {
        let options = self.quantized_options("language model").with_foreign(CONNECTOR);
        let (config, family) = (files.config.decoder.clone(), files.config.language_model());
        Ok(Lasting::new(loader(checkpoint.clone(), options, move |w| Decoder::new(&config, family, w))?))
    }

    fn siglip(&self, files: &ModelFiles) -> Result<Tower<Siglip>> {
        // The two-tower file also has the text half, and two scalars.
        let options = self.quantized_options("SigLIP tower").with_foreign(["text_model.", "logit_"]);
        let config = files.siglip_config.clone();
        let load = loader(files.siglip.open()?, options, move |w| Siglip::new(&config, w))?;
        Ok(Tower::new(load, self.residency, &files.siglip_pixels))
    }

    fn dinov2(&self, files: &ModelFiles) -> Result<Tower<Dinov2>> {
        let options = self.quantized_options("DINOv2 tower");
        let config = files.dinov2_config.clone();
        let load = loader(files.dinov2.open()?, options, move |w| Dinov2::new(&config, w))?;
        Ok(Tower::new(load, self.residency, &files.dinov2_pixels))
    }

    fn load_text(&self, files: &ModelFiles) -> Result<(Tokenizer, ChatTemplate, Vec<u32>)> {
        let dir = &files.text_folder()?;
        let (tokenizer, template) = files.load_text_with(dir, &self.text_limits)?;
        let decoder = &files.config.decoder;
        let declared = decoder.eos_token_id.as_ref().map_or(&[][..], |ids| ids.as_slice());
        let mut eos = load_eos_token_ids_with(dir, declared, &self.text_limits)?;
        eos.retain(|&id| {
            let known = (id as usize) < decoder.vocab_size;
            if !known {
                let rows = decoder.vocab_size;
                tracing::warn!(id, rows, "answers are to end at a token that the language model does not have");
            }
            known
        });
        eos.extend(tokenizer.end_of_turn_ids());
        eos.sort_unstable();
        eos.dedup();
        Ok((tokenizer, template, eos))
    }

    fn stages(&self, config: &LongVuConfig) -> Result<Stages> {
        let mut settings = self.preset.settings(config.dino_threshold, config.drop_threshold);
        if self.overrides.contains_key("dino_threshold") {
            settings.temporal.threshold = config.dino_threshold;
        }
        if self.overrides.contains_key("drop_threshold") {
            settings.spatial.threshold = config.drop_threshold;
        }
        Ok(Stages {
            budget: budget(config),
            selector: self.selector.clone().unwrap_or_else(|| Arc::new(settings.temporal)),
            scorer: self.scorer.clone().unwrap_or_else(|| Arc::new(QueryStage)),
            pruner: self.pruner.clone().unwrap_or_else(|| Arc::new(settings.spatial)),
            tower_batch: self.checked_tower_batch()?,
        })
    }

    fn checked_tower_batch(&self) -> Result<usize> {
        match self.tower_batch.unwrap_or(Compute::of(&self.device).tower_batch()) {
            0 => Err(Error::Setting { name: "tower_batch", value: "0".into(), expected: "use 1 or more" }),
            frames => Ok(frames),
        }
    }
}
