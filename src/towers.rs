//! Finding the vision towers, and having them in memory when they are needed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Error, Result,
    core::{
        checkpoint::{Checkpoint, Repo, RepoOptions},
        config::{Dinov2Config, PreprocessorConfig, SiglipConfig, TowerFamily, TowerRef},
    },
    part::{Loader, Passing, Residency},
    vision::Preprocessor,
};

/// A vision tower's files, found.
#[derive(Debug, Clone)]
pub struct TowerFiles {
    /// The entry of the model's `config.json` that asks for it.
    pub tower: TowerRef,
    /// Where its files are.
    pub repo: Repo,
}

impl TowerFiles {
    /// Looks for `tower` in `folder` if given, inside and beside the model, and then on the Hub.
    pub(crate) fn find(tower: &TowerRef, folder: Option<&Path>, model: &Repo, options: &RepoOptions) -> Result<Self> {
        let mut looked_for = Vec::new();
        for base in places(folder, model) {
            for name in tower.folder_names() {
                let path = base.join(&name);
                if path.join("config.json").is_file() {
                    return Ok(Self { tower: tower.clone(), repo: Repo::folder(path) });
                }
                looked_for.push(path.display().to_string());
            }
        }
        let fail = |reason: String| Error::TowerNotFound {
            family: family_name(tower.family),
            looked_for: looked_for.clone(),
            repo: tower.repo.clone(),
            reason,
        };
        // The revision belongs to the model's own repository.
        let options = RepoOptions { revision: None, ..options.clone() };
        let repo = Repo::find(&tower.repo, &options).map_err(|e| fail(e.to_string()))?;
        repo.get("config.json").map_err(|e| fail(e.to_string()))?;
        Ok(Self { tower: tower.clone(), repo })
    }

    pub(crate) fn preprocessor(&self) -> Result<PreprocessorConfig> {
        match self.repo.try_get("preprocessor_config.json")? {
            Some(path) => Ok(PreprocessorConfig::read(&path, &self.tower)?),
            None => {
                let path = self.repo.local_path("preprocessor_config.json");
                match self.tower.resolution {
                    Some(size) => Ok(PreprocessorConfig::published(self.tower.family, size)),
                    None => Err(crate::core::Error::NotFound {
                        path,
                        hint: "it states the tower's input size; take it from the tower's repository".into(),
                    }
                    .into()),
                }
            }
        }
    }

    pub(crate) fn siglip_config(&self) -> Result<SiglipConfig> {
        Ok(SiglipConfig::read(&self.repo.get("config.json")?)?)
    }

    pub(crate) fn dinov2_config(&self) -> Result<Dinov2Config> {
        Ok(Dinov2Config::read(&self.repo.get("config.json")?)?)
    }

    /// The tower's weights, no data read.
    ///
    /// # Errors
    /// Weights that are missing or damaged.
    pub fn open(&self) -> Result<Arc<Checkpoint>> {
        Ok(Arc::new(Checkpoint::open(&self.repo)?))
    }
}

/// Folders that may hold tower folders.
fn places(folder: Option<&Path>, model: &Repo) -> Vec<PathBuf> {
    if let Some(folder) = folder {
        return vec![folder.to_owned()];
    }
    let Some(model) = model.as_folder() else { return Vec::new() };
    let beside = model.canonicalize().ok().and_then(|m| m.parent().map(Path::to_owned));
    [model.to_owned()].into_iter().chain(beside).collect()
}

fn family_name(family: TowerFamily) -> &'static str {
    match family {
        TowerFamily::Siglip => "SigLIP",
        TowerFamily::Dinov2 => "DINOv2",
    }
}

/// A tower with its preprocessing.
pub(crate) struct Tower<M> {
    model: Passing<M>,
    pub preprocessor: Preprocessor,
}

impl<M: Send> Tower<M> {
    pub fn new(load: Loader<M>, residency: Residency, pixels: &PreprocessorConfig) -> Self {
        Self { model: Passing::new(load, residency), preprocessor: Preprocessor::new(pixels.clone()) }
    }

    /// The tower itself, loaded if need be. Hold it while frames go through: one that is on demand goes with its last
    /// user, and comes back from the file.
    pub fn model(&self) -> Result<Arc<M>> {
        self.model.get()
    }

    /// Lets go of the tower as soon as nobody uses it.
    pub fn release(&self) {
        self.model.release();
    }

    /// Whether the tower is in memory.
    pub fn is_loaded(&self) -> bool {
        self.model.is_loaded()
    }
}

/// Checks that the position grid of a SigLIP, which is not resampled, fits its input.
pub(crate) fn check_siglip_size(config: &SiglipConfig, preprocessor: &PreprocessorConfig, repo: &Repo) -> Result<()> {
    if config.image_size == preprocessor.size {
        return Ok(());
    }
    Err(crate::core::Error::Config {
        path: repo.local_path("preprocessor_config.json"),
        reason: format!(
            "the input side is {} pixels, but config.json's `image_size` is {}; the two must agree",
            preprocessor.size, config.image_size
        ),
    }
    .into())
}
