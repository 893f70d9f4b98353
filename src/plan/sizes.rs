//! What a model's parts weigh, from configurations and the declarations of their tensors.

use std::path::Path;

use longvu_checkpoint::{
    Checkpoint, Repo, RepoOptions, TensorRole, TensorSpec,
    config::{Dinov2Config, LongVuConfig, SiglipConfig},
};
use serde_json::{Map, Value};

use crate::{
    Result,
    compress::Budget,
    model::{
        budget::budget,
        files::ModelFiles,
        inspect::{PartSpecs, part_specs},
    },
    plan::{
        settings::{Compute, PlanSettings},
        stage_memory::PartWeights,
    },
};

/// Bytes of a safetensors file that are converted at a time.
const READING_BLOCK: u64 = 8 << 20;

/// Everything of a model that its need of memory follows from.
pub struct ModelSizes {
    pub(super) config: LongVuConfig,
    pub(super) siglip: SiglipConfig,
    pub(super) dinov2: Dinov2Config,
    /// Input sides of the towers, SigLIP first.
    pub(super) input: [usize; 2],
    specs: PartSpecs,
    /// How SigLIP, DINOv2 and the language model are stored.
    stored: [Stored; 3],
}

/// How a part's weights lie in their files.
#[derive(Debug, Clone, Copy)]
struct Stored {
    /// Whether tensors come into memory whole before they are converted.
    pickled: bool,
    /// Bytes of a number.
    element: u64,
}

impl Stored {
    /// What the headers of the weights in `repo` say.
    ///
    /// A forecast is no reason to download weights; those that are not here are taken for safetensors in bf16.
    fn of(repo: &Repo) -> Self {
        let Ok(checkpoint) = Checkpoint::open(&repo.without_downloads()) else {
            return Self { pickled: false, element: 2 };
        };
        let half = |dtype: &String| dtype == "bf16" || dtype == "f16";
        let element = if checkpoint.stored_dtypes().keys().all(half) { 2 } else { 4 };
        Self { pickled: checkpoint.has_pickles(), element }
    }
}

/// A part of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Siglip,
    Dinov2,
    Connector,
    LanguageModel,
}

impl ModelSizes {
    /// Reads the configurations of `model` and its towers, and of its weights at most headers.
    ///
    /// # Errors
    /// As [`crate::inspect`].
    pub fn read(
        model: impl AsRef<Path>,
        towers: Option<&Path>,
        options: &RepoOptions,
        overrides: &Map<String, Value>,
    ) -> Result<Self> {
        Ok(Self::of(&ModelFiles::find_with(model.as_ref(), towers, options, overrides)?))
    }

    pub(crate) fn of(files: &ModelFiles) -> Self {
        Self {
            config: files.config.clone(),
            siglip: files.siglip_config.clone(),
            dinov2: files.dinov2_config.clone(),
            input: [files.siglip_pixels.size, files.dinov2_pixels.size],
            specs: part_specs(files),
            stored: [&files.siglip.repo, &files.dinov2.repo, &files.repo].map(Stored::of),
        }
    }

    /// The model's own longest prompt.
    pub fn max_len(&self) -> usize {
        self.config.tokenizer_model_max_length
    }

    /// Bytes of each part's weights.
    pub fn weights(&self, settings: &PlanSettings) -> PartWeights {
        let bytes = |part| self.part_weights(part, settings);
        PartWeights {
            siglip: bytes(Part::Siglip),
            dinov2: bytes(Part::Dinov2),
            connector: bytes(Part::Connector),
            language_model: bytes(Part::LanguageModel),
        }
    }

    pub(super) fn part_weights(&self, part: Part, settings: &PlanSettings) -> u64 {
        self.parameters(part).map(|spec| tensor_bytes(spec, part, settings)).fold(0, u64::saturating_add)
    }

    /// Bytes that reading a part takes beside its weights.
    pub(super) fn reading(&self, part: Part, settings: &PlanSettings) -> u64 {
        let stored = match part {
            Part::Siglip => self.stored[0],
            Part::Dinov2 => self.stored[1],
            Part::Connector | Part::LanguageModel => self.stored[2],
        };
        let whole =
            |spec: &&TensorSpec| stored.pickled || (settings.weights.quantize.is_some() && is_quantized(spec, part));
        let largest = self.parameters(part).filter(whole).map(|spec| spec.num_elements() as u64).max();
        READING_BLOCK.max(largest.unwrap_or_default().saturating_mul(stored.element))
    }

    /// The token budget of a window of `max_len`.
    pub(super) fn budget(&self, max_len: usize) -> Budget {
        budget(&self.config).with_max_len(max_len)
    }

    fn parameters(&self, part: Part) -> impl Iterator<Item = &TensorSpec> {
        let specs = match part {
            Part::Siglip => &self.specs.siglip,
            Part::Dinov2 => &self.specs.dinov2,
            Part::Connector => &self.specs.connector,
            Part::LanguageModel => &self.specs.decoder,
        };
        specs.iter().filter(|spec| spec.role == TensorRole::Parameter)
    }
}

fn tensor_bytes(spec: &TensorSpec, part: Part, settings: &PlanSettings) -> u64 {
    let bytes = match (settings.weights.quantize, &spec.shape[..]) {
        (Some(quantize), &[outputs, inputs]) if is_quantized(spec, part) => quantize.bytes(outputs, inputs),
        _ if is_matrix(spec) || settings.compute == Compute::Gpu => {
            spec.num_elements().saturating_mul(settings.weights.dtype.size())
        }
        // The CPU computes in f32, and holds in it what is not worth converting on the way.
        _ => spec.num_elements().saturating_mul(4),
    };
    bytes as u64
}

/// Whether a tensor is held in the dtype also where activations are not: weights of linear layers and the vocabulary.
fn is_matrix(spec: &TensorSpec) -> bool {
    is_linear(spec) || spec.name.ends_with("embed_tokens.weight")
}

fn is_quantized(spec: &TensorSpec, part: Part) -> bool {
    part != Part::Connector && is_linear(spec)
}

/// Whether a tensor is the weight of a linear layer; other matrices are tables of positions or words.
fn is_linear(spec: &TensorSpec) -> bool {
    spec.shape.len() == 2 && spec.name.ends_with("weight") && !spec.name.contains("embed")
}
