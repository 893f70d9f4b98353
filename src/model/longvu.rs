//! A loaded model.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use longvu_checkpoint::{Checkpoint, config::LongVuConfig};
use longvu_core::{Device, Watch, WeightFormat, is_cpu};

use crate::{
    Error, Result,
    compress::{Budget, CompressionSettings, Preset},
    encode::{repeats::Repeats, spill::SpillSettings},
    encoded::fingerprint::fingerprint,
    llm::{ChatTemplate, Decoder, GenerationConfig, Tokenizer},
    model::{
        counters::{Work, WorkCounters},
        parts::{Lasting, side_by_side},
        residency::Residency,
        stages::{StageSettings, Stages},
        towers::Tower,
    },
    plan::{Compute, MemoryPlan, ModelSizes, PlanSettings, Workload},
    vision::{Dinov2, MmProjector, Siglip, SpatialVisionAggregator},
};

/// A LongVU model, ready to look at videos and answer questions about them.
///
/// Cloning shares the weights and costs next to nothing. A model is `Send + Sync`, and what it gives is owned: a server can
/// hold one, answer from many threads, and keep streams and chats beside it.
///
/// Everything long blocks the thread that calls: loading, encoding and answering. What it is at can be watched, and
/// stopped, through a handle made by [`LongVu::watched`].
#[derive(Clone)]
pub struct LongVu {
    pub(crate) parts: Arc<Parts>,
    pub(crate) stages: Arc<Stages>,
    pub(crate) watch: Watch,
}

/// What a [`LongVu`] consists of beside its stages, which handles to it may differ in.
pub(crate) struct Parts {
    pub device: Device,
    pub residency: Residency,
    pub weights: WeightFormat,
    pub config: LongVuConfig,
    pub siglip: Tower<Siglip>,
    pub dinov2: Tower<Dinov2>,
    pub aggregator: SpatialVisionAggregator,
    pub projector: MmProjector,
    pub decoder: Lasting<Decoder>,
    pub tokenizer: Tokenizer,
    pub template: ChatTemplate,
    pub eos_token_ids: Vec<u32>,
    /// Frames that go through a tower at once.
    pub tower_batch: usize,
    /// What a forecast follows from.
    pub sizes: ModelSizes,
    pub spill: SpillSettings,
    /// Bytes that a saved encoded video may have.
    pub encoded_bytes: u64,
    /// Tells the towers' and the connector's weights from others.
    pub vision_fingerprint: String,
    /// The language model's and the connector's files.
    pub checkpoint: Arc<Checkpoint>,
    pub work: Arc<Work>,
}

impl LongVu {
    pub(crate) fn from_parts(parts: Parts, stages: Stages) -> Self {
        Self { parts: Arc::new(parts), stages: Arc::new(stages), watch: Watch::default() }
    }

    /// A handle to the same model of which `watch` hears whatever is done through it, and may stop it.
    ///
    /// What has been stopped ends with an error of the kind [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), at the
    /// next tensor, batch of frames, layer of a chunk of the prompt, or token. Nothing of it is left behind but the part of a
    /// download that the next attempt goes on from. Other handles are not concerned.
    ///
    /// ```no_run
    /// use std::{ops::ControlFlow, sync::atomic::{AtomicBool, Ordering}, sync::Arc};
    /// use longvu::{LongVu, Video, Watch};
    ///
    /// # fn main() -> longvu::Result<()> {
    /// # let model = LongVu::from_pretrained("model", &longvu::default_device())?;
    /// let hung_up = Arc::new(AtomicBool::new(false));
    /// let flag = Arc::clone(&hung_up);
    /// let request = model.watched(Watch::new(move |progress| {
    ///     println!("{:?} {} of {:?}", progress.step, progress.done, progress.total);
    ///     if flag.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    /// }));
    /// let video = request.encode(Video::open("clip.mp4")?)?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn watched(&self, watch: Watch) -> Self {
        Self { parts: Arc::clone(&self.parts), stages: Arc::clone(&self.stages), watch }
    }

    /// A handle to the same model whose stages are this handle's but for what `settings` say: for a request with a preset or
    /// a threshold of its own.
    ///
    /// Weights, watcher and counters are shared, and no file is read. The limits of the model's window stay, too: only
    /// visual tokens can be bounded. An encoded video belongs to the temporal stage that it was made with, and handles with
    /// another refuse it; [`LongVu::encoding_fingerprint`] tells whether two are alike in that.
    ///
    /// ```no_run
    /// use longvu::{LongVu, Preset, StageSettings, Video};
    ///
    /// # fn main() -> longvu::Result<()> {
    /// # let model = LongVu::from_pretrained("model", &longvu::default_device())?;
    /// let finer = model.with_stages(&StageSettings::default().with_preset(Preset::Paper).with_drop_threshold(0.9))?;
    /// let video = finer.encode(Video::open("clip.mp4")?)?;
    /// println!("{}", finer.ask(&video, "What happens?")?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As loading with such stages: thresholds that are no finite numbers, names and settings of stages that there are
    /// not, and stages that exclude each other.
    pub fn with_stages(&self, settings: &StageSettings) -> Result<Self> {
        let settings = self.stages.settings.overlaid(settings);
        let stages = Arc::new(Stages::new(settings, &self.parts.config)?);
        Ok(Self { parts: Arc::clone(&self.parts), stages, watch: self.watch.clone() })
    }

    /// The preset that this handle's stages go by.
    pub fn preset(&self) -> Preset {
        self.stages.settings.preset.unwrap_or_default()
    }

    /// The thresholds and sizes that this handle's stages go by, unless they were given as values: those of the preset, or
    /// of the checkpoint where it takes them from there, with what was set.
    pub fn compression_settings(&self) -> CompressionSettings {
        self.stages.compression
    }

    /// Which frames this handle takes for a frame before them.
    pub fn repeats(&self) -> Repeats {
        self.stages.repeats
    }

    /// Loads the parts that are to be in memory before they are needed.
    ///
    /// Parts are read side by side on the CPU. A GPU's backend may keep a pool of memory for each thread, so there the
    /// thread that computes also loads.
    pub(crate) fn load_parts(&self) -> Result<()> {
        let failed = Arc::new(AtomicBool::new(false));
        let (noted, watch) = (Arc::clone(&failed), self.watch.clone());
        // When one part fails or is stopped, the others read no further tensor.
        let model = self.watched(Watch::new(move |progress| match noted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => watch.tell(progress),
        }));
        let note = |_: &Error| failed.store(true, Ordering::Relaxed);
        let decoder = || match self.parts.residency {
            Residency::Whole => model.decoder().map(drop).inspect_err(note),
            Residency::Towers | Residency::OnDemand => Ok(()),
        };
        let siglip = || model.siglip().map(drop).inspect_err(note);
        let dinov2 = || model.dinov2().map(drop).inspect_err(note);
        if is_cpu(&self.parts.device) {
            return side_by_side(&[&decoder, &siglip, &dinov2]);
        }
        decoder().and_then(|()| siglip()).and_then(|()| dinov2())
    }

    /// Lets go of both vision towers, for when only questions are left; a video that is encoded later loads them again.
    ///
    /// Towers that another thread is using go when it has finished.
    pub fn release_towers(&self) {
        self.parts.siglip.release();
        self.parts.dinov2.release();
    }

    /// Whether a vision tower is in memory.
    pub fn has_towers(&self) -> bool {
        self.parts.siglip.is_loaded() || self.parts.dinov2.is_loaded()
    }

    /// Which parts are in memory when.
    pub fn residency(&self) -> Residency {
        self.parts.residency
    }

    /// The work done so far.
    pub fn work_counters(&self) -> WorkCounters {
        self.parts.work.read()
    }

    /// Forecasts what a run with this model takes, as [`LongVuBuilder::plan`](crate::LongVuBuilder::plan) does before it is
    /// loaded; no file is read. [`MemoryPlan::beyond_weights`] is what the run adds to what is in memory.
    ///
    /// `available` are the bytes that the whole run may take, weights included.
    pub fn plan(&self, workload: Workload, available: Option<u64>) -> MemoryPlan {
        let parts = &self.parts;
        let settings = PlanSettings::new(Compute::of(&parts.device), self.stages.budget.max_len)
            .with_weights(parts.weights)
            .with_tower_batch(parts.tower_batch)
            .with_residency(parts.residency)
            .with_decoder_stage(self.stages.fastv.is_some());
        MemoryPlan::new(&parts.sizes, settings, workload, available)
    }

    /// Tells models apart by their sizes and a sample of every tensor: 32 hexadecimal digits. Where the files are and what
    /// they are called does not matter. It is made when asked for.
    ///
    /// # Errors
    /// A file of weights that cannot be read any more.
    pub fn fingerprint(&self) -> Result<String> {
        let parts = &self.parts;
        fingerprint(&parts.checkpoint, &parts.config, &parts.vision_fingerprint)
    }

    /// The checkpoint's configuration, replaced values included; what [`LongVu::with_stages`] set is not among them.
    pub fn config(&self) -> &LongVuConfig {
        &self.parts.config
    }

    /// The device that the model runs on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }

    /// What weights are held in.
    pub fn weights(&self) -> WeightFormat {
        self.parts.weights
    }

    /// The token budget.
    pub fn budget(&self) -> Budget {
        self.stages.budget
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.parts.tokenizer
    }

    /// The language model.
    ///
    /// # Errors
    /// With [`Residency::OnDemand`] the first call reads it from its file, which may fail.
    pub fn decoder(&self) -> Result<Arc<Decoder>> {
        self.parts.decoder.get(&self.watch)
    }

    /// The DINOv2 tower.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read from its file.
    pub fn dinov2(&self) -> Result<Arc<Dinov2>> {
        self.parts.dinov2.model(&self.watch)
    }

    /// The SigLIP tower.
    ///
    /// # Errors
    /// As [`LongVu::dinov2`].
    pub fn siglip(&self) -> Result<Arc<Siglip>> {
        self.parts.siglip.model(&self.watch)
    }

    /// The aggregator.
    pub fn aggregator(&self) -> &SpatialVisionAggregator {
        &self.parts.aggregator
    }

    /// The projector to the language model.
    pub fn projector(&self) -> &MmProjector {
        &self.parts.projector
    }

    /// Tokens at which answers end, unless a [`GenerationConfig`] names others.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.parts.eos_token_ids
    }

    /// `config` with this model's end tokens where it names none.
    pub(crate) fn with_end_tokens(&self, config: &GenerationConfig) -> GenerationConfig {
        let mut config = config.clone();
        config.eos_token_ids.get_or_insert_with(|| self.parts.eos_token_ids.clone());
        config
    }
}
