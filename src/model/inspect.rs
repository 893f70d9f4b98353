//! What a model consists of, read from configurations and headers alone.

use std::{collections::BTreeMap, path::Path};

use longvu_checkpoint::{Checkpoint, Repo, RepoOptions, TensorRole, TensorSpec, declare};
use serde::Serialize;

use crate::{
    Result,
    llm::Decoder,
    model::files::ModelFiles,
    text::chain,
    vision::{Dinov2, Siglip},
};

/// One part of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PartSize {
    /// "DINOv2 tower", say.
    pub name: String,
    /// Folder or repository that it comes from.
    pub origin: String,
    /// Parameters that are computed with.
    pub parameters: usize,
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Elements of each stored dtype in the files; empty when they cannot be read.
    pub stored: BTreeMap<String, usize>,
    /// Why the files cannot be read, if they cannot.
    pub problem: Option<String>,
}

impl PartSize {
    /// Bytes that the parameters take at `element` bytes a number.
    pub fn bytes(&self, element: usize) -> usize {
        self.parameters.saturating_mul(element)
    }
}

/// The parts of a model and what it needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// `cambrian_qwen` or `cambrian_llama`.
    pub model_type: String,
    /// Towers, connector, language model.
    pub parts: Vec<PartSize>,
    /// Longest prompt in tokens.
    pub max_len: usize,
    /// Numbers kept in the key/value cache for one position.
    pub kv_numbers_per_position: usize,
    /// Tokens of a full-resolution frame, newlines not counted.
    pub image_token_len: usize,
    /// Tokens of a low-resolution frame, newlines not counted.
    pub low_token_len: usize,
    /// Thresholds of the temporal and the spatial stage.
    pub thresholds: (f64, f64),
}

impl Inspection {
    /// Bytes of all weights at `element` bytes a number.
    pub fn weight_bytes(&self, element: usize) -> usize {
        self.parts.iter().map(|part| part.bytes(element)).fold(0, usize::saturating_add)
    }

    /// Bytes of the key/value cache of a full window.
    pub fn kv_bytes(&self, element: usize) -> usize {
        self.kv_numbers_per_position.saturating_mul(self.max_len).saturating_mul(element)
    }
}

/// Reads what `model` consists of, without reading its weights.
///
/// # Errors
/// As loading: missing files and inconsistent configurations.
pub fn inspect(model: impl AsRef<Path>, towers: Option<&Path>, options: &RepoOptions) -> Result<Inspection> {
    let files = ModelFiles::find(model, towers, options)?;
    let specs = part_specs(&files);
    let config = &files.config;
    let part = |name: &str, repo: &Repo, specs: &[TensorSpec], layers: usize, hidden_size: usize| {
        // A size listing is no reason to download weights: of a Hub repository only what is cached is looked at.
        let (stored, problem) = match Checkpoint::open(&repo.without_downloads()) {
            Ok(checkpoint) => (checkpoint.stored_dtypes(), None),
            Err(error) => (BTreeMap::new(), Some(chain(&error))),
        };
        let parameters = specs.iter().filter(|s| s.role == TensorRole::Parameter);
        let parameters = parameters.map(TensorSpec::num_elements).sum();
        PartSize { name: name.into(), origin: repo.describe(), parameters, layers, hidden_size, stored, problem }
    };
    let (siglip, dinov2, decoder) = (&files.siglip_config, &files.dinov2_config, &config.decoder);
    Ok(Inspection {
        model_type: config.model_type.clone(),
        parts: vec![
            part("SigLIP tower", &files.siglip.repo, &specs.siglip, siglip.num_hidden_layers, siglip.hidden_size),
            part("DINOv2 tower", &files.dinov2.repo, &specs.dinov2, dinov2.num_hidden_layers, dinov2.hidden_size),
            part("vision connector", &files.repo, &specs.connector, config.connector_depth, config.vision_hidden_size),
            part("language model", &files.repo, &specs.decoder, decoder.num_hidden_layers, decoder.hidden_size),
        ],
        max_len: config.tokenizer_model_max_length,
        kv_numbers_per_position: decoder.kv_bytes_per_position(1),
        image_token_len: config.image_token_len,
        low_token_len: config.lowres_token.pow(2),
        thresholds: (config.dino_threshold, config.drop_threshold),
    })
}

/// The tensors of each part, by name and shape.
pub(crate) struct PartSpecs {
    pub siglip: Vec<TensorSpec>,
    pub dinov2: Vec<TensorSpec>,
    pub connector: Vec<TensorSpec>,
    pub decoder: Vec<TensorSpec>,
}

pub(crate) fn part_specs(files: &ModelFiles) -> PartSpecs {
    let config = &files.config;
    PartSpecs {
        siglip: declare(|w| Siglip::new(&files.siglip_config, w)),
        dinov2: declare(|w| Dinov2::new(&files.dinov2_config, w)),
        connector: declare(|w| files.build_connector(w)),
        decoder: declare(|w| Decoder::new(&config.decoder, config.language_model(), w)),
    }
}
