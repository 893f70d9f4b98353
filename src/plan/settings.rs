//! How a model is run, and on what.

use longvu_core::{Device, WeightFormat, is_cpu};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::Residency;

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
    #[serde(flatten, serialize_with = "dtype_and_quantize")]
    pub weights: WeightFormat,
    /// Frames that go through a tower at once.
    pub tower_batch: usize,
    /// Which parts are in memory when.
    pub residency: Residency,
    /// Longest prompt in tokens.
    pub max_len: usize,
    /// Whether visual tokens leave the language model after its first layers.
    pub decoder_stage: bool,
}

impl PlanSettings {
    /// All parts in memory, in f32, and a window of `max_len` tokens.
    pub fn new(compute: Compute, max_len: usize) -> Self {
        let tower_batch = compute.tower_batch();
        let (weights, residency) = (WeightFormat::default(), Residency::Whole);
        Self { compute, weights, tower_batch, residency, max_len, decoder_stage: false }
    }

    /// Sets [`weights`](Self::weights).
    #[must_use]
    pub fn with_weights(mut self, weights: impl Into<WeightFormat>) -> Self {
        self.weights = weights.into();
        self
    }

    /// Sets [`tower_batch`](Self::tower_batch).
    #[must_use]
    pub fn with_tower_batch(mut self, tower_batch: usize) -> Self {
        self.tower_batch = tower_batch;
        self
    }

    /// Sets [`decoder_stage`](Self::decoder_stage).
    #[must_use]
    pub fn with_decoder_stage(mut self, decoder_stage: bool) -> Self {
        self.decoder_stage = decoder_stage;
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

fn dtype_and_quantize<S: Serializer>(weights: &WeightFormat, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(2))?;
    map.serialize_entry("dtype", &weights.dtype.to_string())?;
    map.serialize_entry("quantize", &weights.quantize.map(|quantize| quantize.to_string()))?;
    map.end()
}
