//! The files that make a model: its checkpoint and both towers'.

use std::path::{Path, PathBuf};

use longvu_checkpoint::{
    Repo, RepoOptions, Weights,
    config::{Dinov2Config, LanguageModel, LongVuConfig, PreprocessorConfig, SiglipConfig, TowerFamily},
};
use serde_json::{Map, Value};

use crate::{
    Result,
    llm::{ChatTemplate, Limits, Tokenizer},
    model::towers::{TowerFiles, check_siglip_size},
    vision::{AggregatorConfig, MmProjector, SpatialVisionAggregator},
};

/// Names, under a checkpoint's root, of what lies between the towers and the language model.
pub(crate) const CONNECTOR: [&str; 4] =
    ["model.mm_projector", "model.vision_sampler_", "model.vision_query", "model.image_newline"];

/// Files of a checkpoint's text side, by their names; some may be absent.
pub const TEXT_FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
];

/// A LongVU checkpoint's files and its towers', found and their configurations checked, no weight read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelFiles {
    /// The checkpoint.
    pub repo: Repo,
    /// Its `config.json`.
    pub config: LongVuConfig,
    /// The SigLIP tower.
    pub siglip: TowerFiles,
    /// Its sizes.
    pub siglip_config: SiglipConfig,
    /// What its input looks like.
    pub siglip_pixels: PreprocessorConfig,
    /// The DINOv2 tower.
    pub dinov2: TowerFiles,
    /// Its sizes.
    pub dinov2_config: Dinov2Config,
    /// What its input looks like.
    pub dinov2_pixels: PreprocessorConfig,
}

impl ModelFiles {
    /// Finds `model`, a local folder or a Hub id, and its towers: in `towers`, beside the model, or on the Hub.
    ///
    /// # Errors
    /// Missing files, and configurations that are inconsistent.
    pub fn find(model: impl AsRef<Path>, towers: Option<&Path>, options: &RepoOptions) -> Result<Self> {
        Self::find_with(model.as_ref(), towers, options, &Map::new())
    }

    /// The same, with some values of `config.json` replaced.
    pub(crate) fn find_with(
        model: &Path,
        towers: Option<&Path>,
        options: &RepoOptions,
        overrides: &Map<String, Value>,
    ) -> Result<Self> {
        let repo = Repo::find(model, options)?;
        let config = LongVuConfig::read_within(&repo.get("config.json")?, overrides, &options.limits)?;
        let refs = config.towers()?;
        let tower = |family: TowerFamily| {
            let found = refs.iter().find(|t| t.family == family).unwrap_or(&refs[0]);
            TowerFiles::find(found, towers, &repo, options)
        };
        let (siglip, dinov2) = (tower(TowerFamily::Siglip)?, tower(TowerFamily::Dinov2)?);
        let (siglip_config, dinov2_config) = (siglip.siglip_config()?, dinov2.dinov2_config()?);
        let (siglip_pixels, dinov2_pixels) = (siglip.preprocessor()?, dinov2.preprocessor()?);
        check_siglip_size(&siglip_config, &siglip_pixels, &siglip.repo)?;
        let asks = dinov2.repo.local_path("preprocessor_config.json");
        dinov2_config.check_input_side(&asks, dinov2_pixels.size, &options.limits)?;
        Ok(Self { repo, config, siglip, siglip_config, siglip_pixels, dinov2, dinov2_config, dinov2_pixels })
    }

    /// Sizes of the aggregator.
    pub fn aggregator_config(&self) -> AggregatorConfig {
        AggregatorConfig::new(&self.config, self.siglip_config.hidden_size, self.dinov2_config.hidden_size)
    }

    /// The folder of the checkpoint's [`TEXT_FILES`], downloaded if need be.
    ///
    /// # Errors
    /// Failed downloads.
    pub fn text_folder(&self) -> Result<PathBuf> {
        for name in TEXT_FILES {
            self.repo.try_get(name)?;
        }
        let config = self.repo.get("config.json")?;
        Ok(config.parent().map(Path::to_owned).unwrap_or(config))
    }

    /// The tokenizer in `folder`, and the layout of conversations that goes with it and this language model.
    ///
    /// # Errors
    /// Missing, malformed and too large files, and tokens that the language model has no row for.
    pub fn load_text(&self, folder: &Path) -> Result<(Tokenizer, ChatTemplate)> {
        self.load_text_with(folder, &Limits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// As [`ModelFiles::load_text`].
    pub fn load_text_with(&self, folder: &Path, limits: &Limits) -> Result<(Tokenizer, ChatTemplate)> {
        let template = match self.config.language_model() {
            LanguageModel::Llama => ChatTemplate::for_llama_with(folder, limits)?,
            _ => ChatTemplate::ChatMl,
        };
        let tokenizer = Tokenizer::from_dir_with(folder, limits)?;
        tokenizer.check_embedding(self.config.decoder.vocab_size)?;
        Ok((tokenizer, template))
    }

    /// Takes aggregator and projector from the root of a checkpoint.
    pub(crate) fn build_connector(&self, weights: &Weights) -> (SpatialVisionAggregator, MmProjector) {
        let model = weights.at("model");
        let aggregator = self.aggregator_config();
        let projector = MmProjector::new(aggregator.channels, self.config.decoder.hidden_size, &model);
        (SpatialVisionAggregator::new(&aggregator, &model), projector)
    }
}
