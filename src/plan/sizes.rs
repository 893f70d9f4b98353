//! What a model's parts weigh, from configurations and the declarations of their tensors.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Compute, PartWeights, PlanSettings};
use crate::{
    Result,
    builder::ModelFiles,
    compress::Budget,
    core::{
        TensorRole, TensorSpec,
        checkpoint::{Checkpoint, Repo, RepoOptions},
        config::{Dinov2Config, LongVuConfig, SiglipConfig},
    },
    inspect::{PartSpecs, part_specs},
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
    /// Which of SigLIP, DINOv2 and the language model lie in pickles, whose tensors are read whole.
    pickled: [bool; 3],
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
        model: &str,
        towers: Option<&Path>,
        options: &RepoOptions,
        overrides: &Map<String, Value>,
    ) -> Result<Self> {
        Ok(Self::of(&ModelFiles::find(model, towers, options, overrides)?))
    }

    pub(crate) fn of(files: &ModelFiles) -> Self {
        // A forecast is no reason to download weights; those that are not here are taken for safetensors.
        let pickled = |repo: &Repo| Checkpoint::is_pickled(&repo.without_downloads());
        Self {
            config: files.config.clone(),
            siglip: files.siglip_config.clone(),
            dinov2: files.dinov2_config.clone(),
            input: [files.siglip_pixels.size, files.dinov2_pixels.size],
            specs: part_specs(files),
            pickled: [&files.siglip.repo, &files.dinov2.repo, &files.repo].map(pickled),
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
        self.parameters(part).map(|spec| tensor_bytes(spec, part, settings)).sum()
    }

    /// Bytes that reading a part takes beside its weights.
    pub(super) fn reading(&self, part: Part, settings: &PlanSettings) -> u64 {
        let largest = |wanted: &dyn Fn(&TensorSpec) -> bool| {
            self.parameters(part).filter(|spec| wanted(spec)).map(|spec| 4 * spec.num_elements() as u64).max()
        };
        let quantized = settings.quantize.and_then(|_| largest(&|spec| is_quantized(spec, part)));
        let pickled = match part {
            Part::Siglip => self.pickled[0],
            Part::Dinov2 => self.pickled[1],
            Part::Connector | Part::LanguageModel => self.pickled[2],
        };
        let pickled = if pickled { largest(&|_| true) } else { None };
        quantized.max(pickled).unwrap_or(READING_BLOCK).max(READING_BLOCK)
    }

    /// The token budget of a window of `max_len`.
    pub(super) fn budget(&self, max_len: usize) -> Budget {
        Budget { max_len, ..Budget::new(&self.config) }
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
    let bytes = match (settings.quantize, &spec.shape[..]) {
        (Some(quantize), &[outputs, inputs]) if is_quantized(spec, part) => quantize.bytes(outputs, inputs),
        _ if is_matrix(spec) || settings.compute == Compute::Gpu => spec.num_elements() * settings.dtype.size(),
        // The CPU computes in f32, and holds in it what is not worth converting on the way.
        _ => spec.num_elements() * 4,
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
