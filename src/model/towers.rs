//! Finding the vision towers, and having them in memory when they are needed.

use std::{path::Path, sync::Arc};

use longvu_checkpoint::{
    Checkpoint, Repo, RepoOptions,
    config::{Dinov2Config, PreprocessorConfig, SiglipConfig, TowerRef},
};
use longvu_core::{Watch, text::escape};

use crate::{
    Error, Result,
    model::parts::{Loader, Passing},
    model::residency::Residency,
    vision::Preprocessor,
};

/// A vision tower's files, found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TowerFiles {
    /// The entry of the model's `config.json` that asks for it.
    pub tower: TowerRef,
    /// Where its files are.
    pub repo: Repo,
}

impl TowerFiles {
    /// Looks for `tower` in `folder` if given, else inside and beside the model, and then in its own repository of the
    /// Hub. No name in `config.json` leads elsewhere.
    pub(crate) fn find(tower: &TowerRef, folder: Option<&Path>, model: &Repo, options: &RepoOptions) -> Result<Self> {
        let found = |repo: Repo| Ok(Self { tower: tower.clone(), repo });
        let places = places(folder, model, options);
        let candidates =
            || places.iter().flat_map(|place| tower.folder_names().into_iter().map(|n| place.subfolder(&n)));
        // The revision belongs to the model's own repository.
        let own = Repo::hub(&tower.repo, &options.clone().with_revision(None));
        // What is on this machine comes first, and asks nobody.
        for repo in candidates() {
            if repo.without_downloads().try_get("config.json")?.is_some() {
                return found(repo);
            }
        }
        if let Ok(own) = &own
            && let Ok(Some(_)) = own.without_downloads().try_get("config.json")
        {
            return found(own.clone());
        }
        let fail = |error: longvu_checkpoint::Error| match error {
            longvu_checkpoint::Error::Cancelled(stopped) => Error::Cancelled(stopped),
            error => Error::TowerNotFound {
                family: tower.family,
                looked_for: candidates().map(|repo| escape(&repo.describe()).into_owned()).collect(),
                repo: escape(&tower.repo).into_owned(),
                source: Box::new(error),
            },
        };
        for repo in candidates().filter(|repo| repo.as_folder().is_none()) {
            match repo.try_get("config.json") {
                Ok(Some(_)) => return found(repo),
                Ok(None) => {}
                Err(longvu_checkpoint::Error::Cancelled(stopped)) => return Err(Error::Cancelled(stopped)),
                // The tower's own repository may still be reached.
                Err(_) => break,
            }
        }
        let own = own.map_err(|error| match error {
            longvu_checkpoint::Error::NotFound { path, hint } => {
                let hint = format!("{hint}, and a folder that config.json names elsewhere is not followed");
                fail(longvu_checkpoint::Error::NotFound { path, hint })
            }
            error => fail(error),
        })?;
        own.get("config.json").map_err(fail)?;
        found(own)
    }

    pub(crate) fn preprocessor(&self) -> Result<PreprocessorConfig> {
        match self.repo.try_get("preprocessor_config.json")? {
            Some(path) => Ok(PreprocessorConfig::read_within(&path, &self.tower, self.repo.limits())?),
            None => {
                let path = self.repo.local_path("preprocessor_config.json");
                match self.tower.resolution {
                    Some(size) => Ok(PreprocessorConfig::published(self.tower.family, size)),
                    None => Err(longvu_checkpoint::Error::NotFound {
                        path,
                        hint: "it states the tower's input size; take it from the tower's repository".into(),
                    }
                    .into()),
                }
            }
        }
    }

    pub(crate) fn siglip_config(&self) -> Result<SiglipConfig> {
        Ok(SiglipConfig::read_within(&self.repo.get("config.json")?, self.repo.limits())?)
    }

    pub(crate) fn dinov2_config(&self) -> Result<Dinov2Config> {
        Ok(Dinov2Config::read_within(&self.repo.get("config.json")?, self.repo.limits())?)
    }

    /// The tower's weights, no data read.
    ///
    /// # Errors
    /// Weights that are missing or damaged.
    pub fn open(&self) -> Result<Arc<Checkpoint>> {
        Ok(Arc::new(Checkpoint::open(&self.repo)?))
    }
}

/// Folders that may hold tower folders: of the file system, or the model's repository.
fn places(folder: Option<&Path>, model: &Repo, options: &RepoOptions) -> Vec<Repo> {
    let at = |path: &Path| Repo::folder(path).with_options(options);
    if let Some(folder) = folder {
        return vec![at(folder)];
    }
    let beside = model.as_folder().and_then(|folder| folder.canonicalize().ok());
    let beside = beside.and_then(|folder| folder.parent().map(at));
    [model.clone()].into_iter().chain(beside).collect()
}

/// A tower with its preprocessing.
pub(crate) struct Tower<M> {
    model: Passing<M>,
    pub preprocessor: Preprocessor,
}

impl<M: Send + Sync> Tower<M> {
    pub fn new(load: Loader<M>, residency: Residency, pixels: &PreprocessorConfig) -> Self {
        Self { model: Passing::new(load, residency), preprocessor: Preprocessor::new(pixels.clone()) }
    }

    /// The tower itself, loaded if need be. Hold it while frames go through: one that is on demand goes with its last
    /// user, and comes back from the file.
    pub fn model(&self, watch: &Watch) -> Result<Arc<M>> {
        self.model.get(watch)
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
    Err(longvu_checkpoint::Error::Config {
        path: repo.local_path("preprocessor_config.json"),
        reason: format!(
            "the input side is {} pixels, but config.json's `image_size` is {}; the two must agree",
            preprocessor.size, config.image_size
        ),
    }
    .into())
}
