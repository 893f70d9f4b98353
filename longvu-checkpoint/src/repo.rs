//! Where a model's files are: a local folder, or a repository of the Hugging Face Hub.

use std::path::{Path, PathBuf};

use longvu_core::Watch;

use crate::{Error, Limits, Mapping, Result, files};

/// How repositories are reached.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RepoOptions {
    /// Branch, tag or commit; `main` when absent.
    pub revision: Option<String>,
    /// Told of each file that is downloaded ([`Step::Download`](longvu_core::Step::Download), in bytes, those of an earlier
    /// attempt included), and asked whether to go on.
    pub watch: Watch,
    /// What is too large in the files.
    pub limits: Limits,
    /// How weights come into memory.
    pub mapping: Mapping,
}

impl RepoOptions {
    /// Sets [`revision`](Self::revision).
    #[must_use]
    pub fn with_revision(mut self, revision: impl Into<Option<String>>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Sets [`watch`](Self::watch).
    #[must_use]
    pub fn with_watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`mapping`](Self::mapping).
    #[must_use]
    pub fn with_mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }
}

/// A model's files.
///
/// A Hub repository shares its cache with Python's `huggingface_hub` and obeys `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`,
/// `HF_ENDPOINT` and `HF_HUB_OFFLINE`. What is cached is used without asking whether the Hub has something newer.
#[derive(Clone)]
pub struct Repo {
    place: Place,
    limits: Limits,
    mapping: Mapping,
}

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    /// A repository, and the folder in it: empty, or with a slash at its end.
    #[cfg(feature = "hub")]
    Hub(crate::hub::HubRepo, String),
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
    pub fn find(model: impl AsRef<Path>, options: &RepoOptions) -> Result<Self> {
        let path = model.as_ref();
        if files::is_folder(path) {
            return Ok(Self::folder(path).with_options(options));
        }
        if path.exists() {
            return Err(Error::NotFound {
                path: path.to_owned(),
                hint: "this is a file; a model is the folder that holds config.json".into(),
            });
        }
        // A name that is no text is no Hub id either.
        Self::hub(&path.to_string_lossy(), options).map_err(|error| match error {
            Error::NotFound { path, .. } => {
                Error::NotFound { path, hint: "no such folder, and not the form of a Hub id (owner/name)".into() }
            }
            other => other,
        })
    }

    /// The folder at `path`.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { place: Place::Folder(path.into()), limits: Limits::default(), mapping: Mapping::default() }
    }

    /// The repository `id` of the Hub, even where there is a folder of that name.
    ///
    /// # Errors
    /// When `id` has not the form of a Hub id, and in builds without the feature `hub`.
    pub fn hub(id: &str, options: &RepoOptions) -> Result<Self> {
        if !is_hub_id(id) {
            let hint = "this is not the form of a Hub id (owner/name)".into();
            return Err(Error::NotFound { path: id.into(), hint });
        }
        Self::on_hub(id, options)
    }

    #[cfg(feature = "hub")]
    fn on_hub(id: &str, options: &RepoOptions) -> Result<Self> {
        let place = Place::Hub(crate::hub::HubRepo::open(id, options)?, String::new());
        Ok(Self { place, limits: options.limits, mapping: options.mapping })
    }

    #[cfg(not(feature = "hub"))]
    fn on_hub(id: &str, _options: &RepoOptions) -> Result<Self> {
        Err(Error::Hub {
            repo: id.into(),
            kind: longvu_core::ErrorKind::NotFound,
            reason: "no such folder, and this build cannot download; build it with the feature `hub`".into(),
        })
    }

    /// The same files, read within the limits and in the way of `options`.
    #[must_use]
    pub fn with_options(self, options: &RepoOptions) -> Self {
        Self { limits: options.limits, mapping: options.mapping, ..self }
    }

    /// The folder `name` in this one: of the file system or of the repository, which have it or not.
    #[must_use]
    pub fn subfolder(&self, name: &str) -> Self {
        let place = match &self.place {
            Place::Folder(path) => Place::Folder(path.join(name)),
            #[cfg(feature = "hub")]
            Place::Hub(repo, folder) => Place::Hub(repo.clone(), format!("{folder}{name}/")),
        };
        Self { place, limits: self.limits, mapping: self.mapping }
    }

    /// What is too large in these files.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How weights come into memory.
    pub fn mapping(&self) -> Mapping {
        self.mapping
    }

    /// The same files as far as they are on this machine.
    #[must_use]
    pub fn without_downloads(&self) -> Self {
        match &self.place {
            Place::Folder(_) => self.clone(),
            #[cfg(feature = "hub")]
            Place::Hub(repo, folder) => Self {
                place: Place::Hub(repo.cached_only(), folder.clone()),
                limits: self.limits,
                mapping: self.mapping,
            },
        }
    }

    /// The folder or the repository's id.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Folder(path) => path.display().to_string(),
            #[cfg(feature = "hub")]
            Place::Hub(repo, folder) => format!("{}/{folder}", repo.id()).trim_end_matches('/').to_owned(),
        }
    }

    /// The folder, for a local model.
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(path) => Some(path),
            #[cfg(feature = "hub")]
            Place::Hub(..) => None,
        }
    }

    /// The file `name`, downloaded if need be; `None` when the model has no such file.
    ///
    /// # Errors
    /// A failed download, a repository of which nothing is cached while `HF_HUB_OFFLINE` is set, or something of that name
    /// that is no regular file.
    pub fn try_get(&self, name: &str) -> Result<Option<PathBuf>> {
        match &self.place {
            Place::Folder(path) => {
                let path = path.join(name);
                let found = files::is_regular(&path).map_err(Error::read(&path))?;
                Ok(found.then_some(path))
            }
            #[cfg(feature = "hub")]
            Place::Hub(repo, folder) => repo.try_get(&format!("{folder}{name}")),
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
            Place::Hub(repo, _) => repo.absence(),
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
    use longvu_core::text::chain;

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
        let error = Repo::hub("../elsewhere", &RepoOptions::default()).err().unwrap();
        assert!(error.to_string().contains("not the form of a Hub id"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_in_a_file_s_place_is_an_error_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(std::process::Command::new("mkfifo").arg(folder.path().join("a.json")).status().unwrap().success());
        std::os::unix::fs::symlink("a.json", folder.path().join("linked.json")).unwrap();
        let repo = Repo::folder(folder.path());
        for name in ["a.json", "linked.json"] {
            let error = chain(&repo.try_get(name).unwrap_err());
            assert!(error.contains(name) && error.contains("a named pipe"), "{error}");
        }
        assert_eq!(repo.try_get("none.json").unwrap(), None);
        assert_eq!(repo.subfolder("sub").try_get("none.json").unwrap(), None);
    }
}
