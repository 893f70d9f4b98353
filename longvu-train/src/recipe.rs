//! What is trained, in which order, on what and for how long.

use std::path::Path;

use longvu_checkpoint::files::read_limited;
use longvu_world::ScriptOptions;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, StageSettings,
    data::{WorldMix, is_share},
    limits::{RECIPE_BYTES, TOKENIZER_VIDEOS},
};

/// A whole training run, as a JSON file says it.
///
/// Stages that are left out are not trained: their weights come from the model that the run starts from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Recipe {
    /// Everything random follows from it.
    #[serde(default)]
    pub seed: u64,
    /// A tokenizer made for the world's words.
    #[serde(default)]
    pub tokenizer: Option<TokenizerRecipe>,
    /// The SigLIP tower.
    #[serde(default)]
    pub siglip: Option<TowerRecipe>,
    /// The DINOv2 tower.
    #[serde(default)]
    pub dinov2: Option<TowerRecipe>,
    /// Connector and language model, in phases.
    #[serde(default)]
    pub language: Vec<LanguageRecipe>,
}

/// Training of a tokenizer, of as many tokens as the model's `vocab_size`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenizerRecipe {
    /// Videos whose questions, answers and captions it is trained on.
    pub videos: usize,
}

/// Training of a tower on pictures of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TowerRecipe {
    /// How long and how fast. A group of `micro_batch` pictures is compared with itself.
    pub training: StageSettings,
    /// Heights that pictures are drawn at, in pixels, before the tower's own resizing.
    pub heights: Vec<u32>,
    /// Share of pictures that show what their video shows for a moment only: digits and letters for the most part.
    #[serde(default)]
    pub needles: f64,
    /// Share of pictures that are 16:9 rather than square.
    #[serde(default = "wide")]
    pub wide: f64,
    /// A further phase, on other pictures, that begins with what this one ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<TowerRecipe>>,
}

impl TokenizerRecipe {
    /// A tokenizer for the words of so many videos.
    pub fn new(videos: usize) -> Self {
        Self { videos }
    }
}

impl TowerRecipe {
    /// Training on pictures of these heights, as many of them wide as the world's are.
    pub fn new(training: StageSettings, heights: Vec<u32>) -> Self {
        Self { training, heights, needles: 0.0, wide: wide(), then: None }
    }

    /// Sets [`needles`](Self::needles).
    #[must_use]
    pub fn with_needles(mut self, needles: f64) -> Self {
        self.needles = needles;
        self
    }

    /// Sets [`wide`](Self::wide).
    #[must_use]
    pub fn with_wide(mut self, wide: f64) -> Self {
        self.wide = wide;
        self
    }

    /// Sets the phase that begins with what this one ends with.
    #[must_use]
    pub fn with_then(mut self, then: Self) -> Self {
        self.then = Some(Box::new(then));
        self
    }

    /// This phase and those that follow it.
    pub fn phases(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |phase| phase.then.as_deref())
    }
}

fn wide() -> f64 {
    WorldMix::default().wide
}

/// A phase of the language stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LanguageRecipe {
    /// Of the phase, for files and the log.
    pub name: String,
    /// How long and how fast.
    pub training: StageSettings,
    /// Decoder layers in this phase, where they are fewer than the model's: the first of them. Those that a later phase adds
    /// begin as blocks that do nothing, so that what was learnt stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_hidden_layers: Option<usize>,
    /// What the world shows and asks; not used with data from a file.
    #[serde(default)]
    pub world: WorldMix,
}

impl LanguageRecipe {
    /// A phase of the model's whole depth on the world's usual mix.
    pub fn new(name: impl Into<String>, training: StageSettings) -> Self {
        Self { name: name.into(), training, num_hidden_layers: None, world: WorldMix::default() }
    }

    /// Sets [`num_hidden_layers`](Self::num_hidden_layers).
    #[must_use]
    pub fn with_num_hidden_layers(mut self, num_hidden_layers: impl Into<Option<usize>>) -> Self {
        self.num_hidden_layers = num_hidden_layers.into();
        self
    }

    /// Sets [`world`](Self::world).
    #[must_use]
    pub fn with_world(mut self, world: WorldMix) -> Self {
        self.world = world;
        self
    }
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// A file that cannot be read, is no recipe, or asks for nonsense.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, RECIPE_BYTES).map_err(Error::read(path))?;
        let recipe: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::File { path: path.to_owned(), reason: error.to_string() })?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks what would make no sense.
    ///
    /// # Errors
    /// [`Error::Setting`] with the name of the setting.
    pub fn validate(&self) -> Result<()> {
        if let Some(TokenizerRecipe { videos }) = self.tokenizer
            && !(1..=TOKENIZER_VIDEOS).contains(&videos)
        {
            let expected = "from 1 to 4,194,304";
            return Err(Error::Setting { name: "tokenizer.videos", value: videos.to_string(), expected });
        }
        for tower in [&self.siglip, &self.dinov2].into_iter().flatten().flat_map(TowerRecipe::phases) {
            tower.training.validate()?;
            if tower.heights.is_empty() || tower.training.micro_batch < 2 {
                let value = format!("{:?}, {}", tower.heights, tower.training.micro_batch);
                let expected = "one height or more, and pictures to compare: 2 or more";
                return Err(Error::Setting { name: "heights, micro_batch", value, expected });
            }
            tower.heights.iter().try_for_each(|height| ScriptOptions::default().with_size(*height).validate())?;
            if !is_share(tower.needles) || !is_share(tower.wide) {
                let value = format!("{}, {}", tower.needles, tower.wide);
                return Err(Error::Setting { name: "needles, wide", value, expected: "shares from 0 to 1" });
            }
        }
        let mut names = std::collections::HashSet::new();
        for phase in &self.language {
            phase.training.validate()?;
            phase.world.validate()?;
            let is_plain = phase.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            if !is_plain || phase.name.is_empty() || !names.insert(&phase.name) {
                let expected = "letters, digits, `-` and `_`, and another name for each phase";
                return Err(Error::Setting { name: "language.name", value: phase.name.clone(), expected });
            }
        }
        Ok(())
    }

    /// The recipe for fine-tuning connector and language model alone.
    pub fn fine_tuning(training: StageSettings) -> Self {
        Self::default().with_language(vec![LanguageRecipe::new("language", training)])
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`tokenizer`](Self::tokenizer).
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: impl Into<Option<TokenizerRecipe>>) -> Self {
        self.tokenizer = tokenizer.into();
        self
    }

    /// Sets [`siglip`](Self::siglip).
    #[must_use]
    pub fn with_siglip(mut self, siglip: impl Into<Option<TowerRecipe>>) -> Self {
        self.siglip = siglip.into();
        self
    }

    /// Sets [`dinov2`](Self::dinov2).
    #[must_use]
    pub fn with_dinov2(mut self, dinov2: impl Into<Option<TowerRecipe>>) -> Self {
        self.dinov2 = dinov2.into();
        self
    }

    /// Sets [`language`](Self::language).
    #[must_use]
    pub fn with_language(mut self, language: Vec<LanguageRecipe>) -> Self {
        self.language = language;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Result<Recipe> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.json");
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path)
    }

    #[test]
    fn recipes_are_checked() {
        let training = r#""training": { "steps": 2, "micro_batch": 2, "accumulation": 1, "lr": 0.001 }"#;
        let good = recipe(&format!(r#"{{ "language": [{{ "name": "a", {training} }}] }}"#)).unwrap();
        assert_eq!((good.language[0].training.steps, good.siglip.is_none()), (2, true));
        for (text, part) in [
            ("{".to_owned(), "recipe.json"),
            (r#"{ "lang": [] }"#.to_owned(), "lang"),
            (format!(r#"{{ "language": [{{ "name": "a b", {training} }}] }}"#), "letters"),
            (format!(r#"{{ "language": [{{ "name": "a", {training} }}, {{ "name": "a", {training} }}] }}"#), "another"),
            (format!(r#"{{ "siglip": {{ "heights": [], {training} }} }}"#), "one height"),
            (format!(r#"{{ "siglip": {{ "heights": [128], "wide": 2, {training} }} }}"#), "wide"),
            (r#"{ "siglip": { "heights": [128], "training": { "steps": 2, "micro_batch": 2, "accumulation": 1, "lr": 1, "lr_floor": 3 } } }"#.to_owned(), "lr_floor"),
            (r#"{ "siglip": { "heights": [128], "training": { "steps": 0, "micro_batch": 2, "accumulation": 1, "lr": 1 } } }"#.to_owned(), "steps"),
            (r#"{ "language": [{ "name": "a", "training": { "steps": 2, "micro_batch": 4294967296, "accumulation": 1, "lr": 1 } }] }"#.to_owned(), "`micro_batch` is 4294967296"),
            (r#"{ "language": [{ "name": "a", "training": { "steps": 2, "micro_batch": 1, "accumulation": 4294967296, "lr": 1 } }] }"#.to_owned(), "`accumulation` is 4294967296"),
            (r#"{ "tokenizer": { "videos": 1152921504606846976 } }"#.to_owned(), "tokenizer.videos"),
            (format!(r#"{{ "siglip": {{ "heights": [4294967295], {training} }} }}"#), "4294967295"),
        ] {
            let error = recipe(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
