//! Where a model's files are: a local folder, or a repository of the Hugging Face Hub.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{Error, Result};

/// Progress of a download: file name, bytes so far (those of an earlier attempt included), bytes in total.
pub type Download = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// How repositories are reached.
#[derive(Clone, Default)]
pub struct RepoOptions {
    /// Branch, tag or commit; `main` when absent.
    pub revision: Option<String>,
    /// Called as a download goes on.
    pub progress: Option<Download>,
}

/// A model's files.
///
/// A Hub repository shares its cache with Python's `huggingface_hub` and obeys `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`,
/// `HF_ENDPOINT` and `HF_HUB_OFFLINE`. What is cached is used without asking whether the Hub has something newer.
#[derive(Clone)]
pub struct Repo {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    #[cfg(feature = "hub")]
    Hub(super::hub::HubRepo),
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repo({})", self.describe())
    }
}

impl Repo {
    /// Finds `model`: a folder if there is one of that name, else a Hub id such as `Vision-CAIR/LongVU_Qwen2_7B`.
    ///
    /// # Errors
    /// When it is neither a folder nor the form of a Hub id.
    pub fn find(model: &str, options: &RepoOptions) -> Result<Self> {
        let path = Path::new(model);
        if path.is_dir() {
            return Ok(Self::folder(path));
        }
        if path.is_file() {
            return Err(Error::NotFound {
                path: path.to_owned(),
                hint: "this is a file; a model is the folder that holds config.json".into(),
            });
        }
        if !is_hub_id(model) {
            return Err(Error::NotFound {
                path: path.to_owned(),
                hint: "no such folder, and not the form of a Hub id (owner/name)".into(),
            });
        }
        Self::hub(model, options)
    }

    /// The folder at `path`.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Folder(path.into()) }
    }

    #[cfg(feature = "hub")]
    fn hub(id: &str, options: &RepoOptions) -> Result<Self> {
        Ok(Self { place: Place::Hub(super::hub::HubRepo::open(id, options)?) })
    }

    #[cfg(not(feature = "hub"))]
    fn hub(id: &str, _options: &RepoOptions) -> Result<Self> {
        Err(Error::Hub {
            repo: id.into(),
            reason: "no such folder, and this build cannot download; rebuild with `--features hub`".into(),
        })
    }

    /// The same files as far as they are on this machine.
    #[must_use]
    pub fn without_downloads(&self) -> Self {
        match &self.place {
            Place::Folder(_) => self.clone(),
            #[cfg(feature = "hub")]
            Place::Hub(repo) => Self { place: Place::Hub(repo.cached_only()) },
        }
    }

    /// The folder or the repository's id.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Folder(path) => path.display().to_string(),
            #[cfg(feature = "hub")]
            Place::Hub(repo) => repo.id().to_owned(),
        }
    }

    /// The folder, for a local model.
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(path) => Some(path),
            #[cfg(feature = "hub")]
            Place::Hub(_) => None,
        }
    }

    /// The file `name`, downloaded if need be; `None` when the model has no such file.
    ///
    /// # Errors
    /// A failed download, or a repository of which nothing is cached while `HF_HUB_OFFLINE` is set.
    pub fn try_get(&self, name: &str) -> Result<Option<PathBuf>> {
        match &self.place {
            Place::Folder(path) => Ok(Some(path.join(name)).filter(|p| p.is_file())),
            #[cfg(feature = "hub")]
            Place::Hub(repo) => repo.try_get(name),
        }
    }

    /// The file `name`, which the model must have.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it has not, or a failed download.
    pub fn get(&self, name: &str) -> Result<PathBuf> {
        self.try_get(name)?.ok_or_else(|| self.absent(name, "a Hugging Face model has this file".into()))
    }

    /// The error for a file that is not there; `why` says who needs it.
    pub(super) fn absent(&self, name: &str, why: String) -> Error {
        let what: String = match &self.place {
            Place::Folder(_) => "check that the folder is complete".into(),
            #[cfg(feature = "hub")]
            Place::Hub(repo) => repo.absence(),
        };
        Error::NotFound { path: self.local_path(name), hint: format!("{why}; {what}") }
    }

    /// Where the file `name` would be, for messages.
    pub fn local_path(&self, name: &str) -> PathBuf {
        Path::new(&self.describe()).join(name)
    }
}

/// Whether `s` has the form `owner/name` of the Hub's ids.
fn is_hub_id(s: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && !p.starts_with(['.', '-'])
            && p.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    s.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_told_from_paths() {
        for id in ["Vision-CAIR/LongVU_Qwen2_7B", "facebook/dinov2-giant", "a/b.c"] {
            assert!(is_hub_id(id), "{id}");
        }
        for path in ["./model", "/abs/path", "a/b/c", "model", "../x", "a/", "a b/c", ""] {
            assert!(!is_hub_id(path), "{path}");
        }
    }

    #[test]
    fn a_file_is_not_a_model() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Repo::find(file.path().to_str().unwrap(), &RepoOptions::default()).err().unwrap();
        assert!(error.to_string().contains("config.json"), "{error}");
        let error = Repo::find("no/such/folder", &RepoOptions::default()).err().unwrap();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }
}
