//! A loaded model.

use std::sync::Arc;

use longvu_checkpoint::config::LongVuConfig;
use longvu_core::{Device, Dtype, Quantize, is_cpu};

use crate::{
    LongVuBuilder, Result,
    compress::{Budget, FrameScorer, FrameSelector, TokenPruner},
    encode::spill::SpillSettings,
    llm::{ChatTemplate, Decoder, GenerationConfig, Tokenizer},
    model::{
        counters::Work,
        residency::{Lasting, Residency, side_by_side},
        towers::Tower,
    },
    vision::{Dinov2, MmProjector, Siglip, SpatialVisionAggregator},
};

/// A LongVU model, ready to look at videos and answer questions about them.
///
/// Cloning shares the weights. A model is `Send + Sync`: a server can hold one and answer from many threads.
#[derive(Clone)]
pub struct LongVu {
    pub(crate) parts: Arc<Parts>,
}

/// What a [`LongVu`] consists of.
pub(crate) struct Parts {
    pub device: Device,
    pub dtype: Dtype,
    pub residency: Residency,
    pub quantize: Option<Quantize>,
    pub config: LongVuConfig,
    pub siglip: Tower<Siglip>,
    pub dinov2: Tower<Dinov2>,
    pub aggregator: SpatialVisionAggregator,
    pub projector: MmProjector,
    pub decoder: Lasting<Decoder>,
    pub tokenizer: Tokenizer,
    pub template: ChatTemplate,
    pub eos_token_ids: Vec<u32>,
    pub stages: Stages,
    pub spill: SpillSettings,
    /// Bytes that a saved encoded video may have.
    pub encoded_bytes: u64,
    /// Tells the towers' and the connector's weights from others.
    pub fingerprint: String,
    pub work: Arc<Work>,
}

/// The compression stages and the budget that they serve.
pub(crate) struct Stages {
    pub budget: Budget,
    pub selector: Arc<dyn FrameSelector>,
    pub scorer: Arc<dyn FrameScorer>,
    pub pruner: Arc<dyn TokenPruner>,
    pub tower_batch: usize,
}

impl LongVu {
    /// Loads a model from a local folder or the Hugging Face Hub, in f32, onto `device`.
    ///
    /// The vision towers are looked for beside the model and then on the Hub; [`LongVu::builder`] has more settings.
    ///
    /// # Errors
    /// See [`LongVuBuilder::load`].
    pub fn from_pretrained(model: impl Into<String>, device: &Device) -> Result<Self> {
        Self::builder(model).device(device).load()
    }

    /// Settings for loading `model`, a local folder or a Hub id such as `Vision-CAIR/LongVU_Qwen2_7B`.
    pub fn builder(model: impl Into<String>) -> LongVuBuilder {
        LongVuBuilder::new(model.into(), crate::default_device())
    }

    pub(crate) fn from_parts(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Loads the parts that are to be in memory before they are needed.
    ///
    /// Parts are read side by side on the CPU. A GPU's backend may keep a pool of memory for each thread, so there the
    /// thread that computes also loads.
    pub(crate) fn load_parts(&self) -> Result<()> {
        let decoder = || match self.parts.residency {
            Residency::Whole => self.parts.decoder.get().map(drop),
            Residency::Towers | Residency::OnDemand => Ok(()),
        };
        let siglip = || self.parts.siglip.model().map(drop);
        let dinov2 = || self.parts.dinov2.model().map(drop);
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

    /// The checkpoint's configuration, replaced values included.
    pub fn config(&self) -> &LongVuConfig {
        &self.parts.config
    }

    /// The device that the model runs on.
    pub fn device(&self) -> &Device {
        &self.parts.device
    }

    /// The dtype that weights are held in, unless they are quantised. GPUs also compute in it, the CPU always in f32.
    pub fn dtype(&self) -> Dtype {
        self.parts.dtype
    }

    /// The token budget.
    pub fn budget(&self) -> Budget {
        self.parts.stages.budget
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.parts.tokenizer
    }

    /// The language model.
    ///
    /// # Errors
    /// With [`Residency::OnDemand`] the first call reads it from its file, which may fail.
    pub fn decoder(&self) -> Result<&Decoder> {
        self.parts.decoder.get()
    }

    /// The DINOv2 tower.
    ///
    /// # Errors
    /// When it is not in memory and cannot be read from its file.
    pub fn dinov2(&self) -> Result<Arc<Dinov2>> {
        self.parts.dinov2.model()
    }

    /// The SigLIP tower.
    ///
    /// # Errors
    /// As [`LongVu::dinov2`].
    pub fn siglip(&self) -> Result<Arc<Siglip>> {
        self.parts.siglip.model()
    }

    /// The aggregator.
    pub fn aggregator(&self) -> &SpatialVisionAggregator {
        &self.parts.aggregator
    }

    /// The projector to the language model.
    pub fn projector(&self) -> &MmProjector {
        &self.parts.projector
    }

    /// Greedy generation settings with this model's end tokens.
    pub fn generation_config(&self) -> GenerationConfig {
        GenerationConfig { eos_token_ids: self.parts.eos_token_ids.clone(), ..GenerationConfig::default() }
    }
}
