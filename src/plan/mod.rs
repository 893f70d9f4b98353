//! What a model needs in memory, stage by stage, before any of it is loaded.
//!
//! A [`MemoryPlan`] is a pure function of a model's configurations, of settings, and of what is to be looked at. The
//! formulas are those of `docs/memory.md`.

mod advice;
pub(crate) mod memory;
mod sizes;
mod stages;

use serde::{Serialize, Serializer};

pub use advice::{Advice, Change};
pub use sizes::ModelSizes;

use crate::Residency;
use longvu_core::{Device, Dtype, Quantize, is_cpu};

/// What computes, as far as memory depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compute {
    /// The CPU backend: activations in f32, attention in tiles.
    Cpu,
    /// Any other: activations in the dtype, scores of attention in memory; a GPU's memory is its own.
    Gpu,
}

impl Compute {
    /// What `device` is.
    pub fn of(device: &Device) -> Self {
        if is_cpu(device) { Self::Cpu } else { Self::Gpu }
    }

    /// Frames that go through a tower at once, unless set otherwise.
    pub const fn tower_batch(self) -> usize {
        match self {
            Self::Cpu => 1,
            Self::Gpu => 8,
        }
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanSettings {
    /// What computes.
    pub compute: Compute,
    /// What weights are held in.
    #[serde(serialize_with = "text")]
    pub dtype: Dtype,
    /// What the weights of linear layers are held in instead.
    #[serde(serialize_with = "option_text")]
    pub quantize: Option<Quantize>,
    /// Frames that go through a tower at once.
    pub tower_batch: usize,
    /// Which parts are in memory when.
    pub residency: Residency,
    /// Longest prompt in tokens.
    pub max_len: usize,
}

impl PlanSettings {
    /// All parts in memory, in f32, and a window of `max_len` tokens.
    pub fn new(compute: Compute, max_len: usize) -> Self {
        let tower_batch = compute.tower_batch();
        Self { compute, dtype: Dtype::F32, quantize: None, tower_batch, residency: Residency::Whole, max_len }
    }

    /// Sets [`dtype`](Self::dtype).
    #[must_use]
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Sets [`quantize`](Self::quantize).
    #[must_use]
    pub fn with_quantize(mut self, quantize: impl Into<Option<Quantize>>) -> Self {
        self.quantize = quantize.into();
        self
    }

    /// Sets [`tower_batch`](Self::tower_batch).
    #[must_use]
    pub fn with_tower_batch(mut self, tower_batch: usize) -> Self {
        self.tower_batch = tower_batch;
        self
    }

    /// Sets [`residency`](Self::residency).
    #[must_use]
    pub fn with_residency(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }
}

/// What is looked at and asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Workload {
    /// Sampled frames; none when only text is asked about.
    pub frames: usize,
    /// Width of a frame in pixels.
    pub width: u32,
    /// Height of a frame in pixels.
    pub height: u32,
    /// Tokens of text in the prompt.
    pub text_tokens: usize,
    /// Longest answer in tokens.
    pub max_new_tokens: usize,
    /// Whether anything is asked; without it the language model is not loaded.
    pub answers: bool,
}

impl Default for Workload {
    /// A minute of full-HD video at one frame a second, and a question of a few sentences.
    fn default() -> Self {
        Self { frames: 60, width: 1920, height: 1080, text_tokens: 128, max_new_tokens: 128, answers: true }
    }
}

impl Workload {
    /// Encoding alone, of so many frames of this width and height: nothing is asked.
    pub fn encoding(frames: usize, (width, height): (u32, u32)) -> Self {
        Self { frames, width, height, text_tokens: 0, max_new_tokens: 0, answers: false }
    }

    /// Sets [`frames`](Self::frames).
    #[must_use]
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }

    /// Sets [`width`](Self::width) and [`height`](Self::height).
    #[must_use]
    pub fn with_size(mut self, (width, height): (u32, u32)) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// Sets [`text_tokens`](Self::text_tokens).
    #[must_use]
    pub fn with_text_tokens(mut self, text_tokens: usize) -> Self {
        self.text_tokens = text_tokens;
        self
    }

    /// Sets [`max_new_tokens`](Self::max_new_tokens).
    #[must_use]
    pub fn with_max_new_tokens(mut self, max_new_tokens: usize) -> Self {
        self.max_new_tokens = max_new_tokens;
        self
    }
}

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the weights that are there from the beginning.
    Load,
    /// Reading the DINOv2 tower, where it comes on demand.
    LoadDinov2,
    /// Decoding, DINOv2 and the temporal stage.
    Look,
    /// Reading the SigLIP tower, where it comes on demand.
    LoadSiglip,
    /// SigLIP and the aggregator.
    Aggregate,
    /// Reading the language model, where it comes on demand.
    LoadLanguageModel,
    /// The query-guided and spatial stages.
    Fuse,
    /// The prompt's way through the language model.
    Prefill,
    /// The answer, token by token.
    Generate,
}

impl Stage {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadDinov2 => "load DINOv2",
            Self::Look => "decode, DINOv2, temporal",
            Self::LoadSiglip => "load SigLIP",
            Self::Aggregate => "SigLIP, aggregator",
            Self::LoadLanguageModel => "load language model",
            Self::Fuse => "query, spatial",
            Self::Prefill => "prompt",
            Self::Generate => "answer",
        }
    }
}

/// What takes memory in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Code, libraries and the allocator's slack.
    Program,
    /// Weights of the parts that are in memory.
    Weights,
    /// Weights on their way from the file.
    Reading,
    /// Decoded and resized frames.
    Frames,
    /// What a tower or the language model computes with.
    Activations,
    /// Features of frames, as far as they are not spilt to disk.
    Features,
    /// Encoded frames.
    Encoded,
    /// Visual tokens and input embeddings.
    Tokens,
    /// Keys and values of the language model.
    KvCache,
}

impl Kind {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Program,
        Self::Weights,
        Self::Reading,
        Self::Frames,
        Self::Activations,
        Self::Features,
        Self::Encoded,
        Self::Tokens,
        Self::KvCache,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Weights => "weights",
            Self::Reading => "reading",
            Self::Frames => "frames",
            Self::Activations => "activations",
            Self::Features => "features",
            Self::Encoded => "encoded",
            Self::Tokens => "tokens",
            Self::KvCache => "kv cache",
        }
    }

    /// Whether it is in the machine's memory even when a GPU computes.
    pub const fn on_host(self) -> bool {
        matches!(self, Self::Program | Self::Reading | Self::Frames)
    }
}

/// Memory of one kind in one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Item {
    /// What it is for.
    pub kind: Kind,
    /// How much, at most.
    pub bytes: u64,
}

/// Memory of one stage at its fullest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageMemory {
    /// The step.
    pub stage: Stage,
    /// What takes memory, in the order of [`Kind::ALL`].
    pub items: Vec<Item>,
}

impl StageMemory {
    /// Bytes of one kind.
    pub fn bytes(&self, kind: Kind) -> u64 {
        self.items.iter().filter(|item| item.kind == kind).map(|item| item.bytes).fold(0, u64::saturating_add)
    }

    /// Bytes on the device that computes: on a GPU not what stays in the machine's memory.
    pub fn total(&self, compute: Compute) -> u64 {
        let there = |item: &&Item| compute == Compute::Cpu || !item.kind.on_host();
        self.items.iter().filter(there).map(|item| item.bytes).fold(0, u64::saturating_add)
    }
}

/// What each part's weights take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartWeights {
    /// The SigLIP tower.
    pub siglip: u64,
    /// The DINOv2 tower.
    pub dinov2: u64,
    /// Aggregator and projector.
    pub connector: u64,
    /// The language model.
    pub language_model: u64,
}

impl PartWeights {
    /// All of them.
    pub const fn total(&self) -> u64 {
        let towers = self.siglip.saturating_add(self.dinov2);
        towers.saturating_add(self.connector).saturating_add(self.language_model)
    }
}

/// The forecast of a run's memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// How the model is run.
    pub settings: PlanSettings,
    /// What is looked at and asked.
    pub workload: Workload,
    /// Bytes of each part's weights.
    pub weights: PartWeights,
    /// The steps, in order.
    pub stages: Vec<StageMemory>,
    /// Bytes of the fullest step, on the device that computes.
    pub peak: u64,
    /// Bytes that there are, where it is known.
    pub available: Option<u64>,
    /// Whether the peak fits in them.
    pub fits: Option<bool>,
    /// Settings that fit where these do not, least loss first.
    pub advice: Vec<Advice>,
}

impl MemoryPlan {
    /// The forecast for `model`; with `available` bytes known also whether it fits, and what would.
    pub fn new(model: &ModelSizes, settings: PlanSettings, workload: Workload, available: Option<u64>) -> Self {
        let stages = stages::stages(model, &settings, &workload);
        let peak = peak(&stages, settings.compute);
        let fits = available.map(|available| peak <= available);
        let advice = match (fits, available) {
            (Some(false), Some(available)) => advice::advise(model, &settings, &workload, available),
            _ => Vec::new(),
        };
        let weights = model.weights(&settings);
        Self { settings, workload, weights, stages, peak, available, fits, advice }
    }

    /// What is missing and what to do, in a sentence or two.
    pub fn shortage(&self) -> String {
        let available = self.available.map_or("an unknown amount".to_owned(), bytes);
        let mut text = format!("this needs {} of memory, and {available} can be had", bytes(self.peak));
        if let Some(stage) = self.fullest() {
            let counted =
                stage.items.iter().filter(|item| self.settings.compute == Compute::Cpu || !item.kind.on_host());
            let mut items: Vec<&Item> = counted.collect();
            items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
            let parts = items.iter().take(3).map(|item| format!("{} {}", item.kind.name(), bytes(item.bytes)));
            text += &format!(" (most in the step `{}`: {})", stage.stage.name(), parts.collect::<Vec<_>>().join(", "));
        }
        let fitting = self.advice.iter().map(|advice| format!("`{advice}` ({})", bytes(advice.peak)));
        match fitting.collect::<Vec<_>>() {
            list if list.is_empty() => text + "; no setting fits: take a smaller model, or a machine with more memory",
            list => text + "; what would fit, least loss first: " + &list.join(", "),
        }
    }

    /// The fullest step.
    pub fn fullest(&self) -> Option<&StageMemory> {
        self.stages.iter().max_by_key(|stage| stage.total(self.settings.compute))
    }
}

/// Bytes as people read them: `17.2 GiB`, `512 MiB`.
pub fn bytes(count: u64) -> String {
    match count {
        n if n >= 1 << 30 => format!("{:.1} GiB", n as f64 / f64::from(1 << 30)),
        n => format!("{} MiB", n.div_ceil(1 << 20)),
    }
}

fn peak(stages: &[StageMemory], compute: Compute) -> u64 {
    stages.iter().map(|stage| stage.total(compute)).max().unwrap_or_default()
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn option_text<S: Serializer>(value: &Option<impl std::fmt::Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
