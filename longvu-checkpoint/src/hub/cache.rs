//! The cache folder in the layout of Python's `huggingface_hub`.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::env;
use crate::files;

/// Bytes of a file that names a commit, which has 40.
const MOST_REF: u64 = 1 << 10;

/// The cached part of one repository at one revision.
pub struct Cache {
    /// The folder of all repositories.
    root: PathBuf,
    /// `models--owner--name`.
    folder: String,
    revision: String,
}

impl Cache {
    /// The cache of repository `id`, where the environment says.
    pub fn from_env(id: &str, revision: &str) -> Result<Self, String> {
        if !is_plain(revision, &['/']) {
            return Err(format!("`{revision}` is no revision; a branch, tag or commit is expected"));
        }
        let root = match env("HF_HUB_CACHE").or_else(|| env("HUGGINGFACE_HUB_CACHE")) {
            Some(folder) => expand(&folder),
            None => home()?.join("hub"),
        };
        Ok(Self { root, folder: format!("models--{}", id.replace('/', "--")), revision: revision.to_owned() })
    }

    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The commit that the cache holds for the revision, if any.
    pub fn commit(&self) -> Option<String> {
        let path = self.path().join("refs").join(&self.revision);
        let text = files::read_limited(&path, MOST_REF).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let commit = text.map(|text| text.trim().to_owned());
        // A full commit hash needs no ref: it names its snapshot.
        commit.or_else(|| is_commit(&self.revision).then(|| self.revision.clone())).filter(|c| is_plain(c, &[]))
    }

    /// The cached file `name`.
    pub fn get(&self, name: &str) -> Option<PathBuf> {
        let path = self.path().join("snapshots").join(self.commit()?).join(name);
        path.is_file().then_some(path)
    }

    /// Where the content that has `etag` is kept once complete.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.path().join("blobs").join(etag)
    }

    /// Where that content grows while it is downloaded.
    pub fn partial(&self, etag: &str) -> PathBuf {
        self.path().join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The lock on the content that has `etag`, unless another process downloads it; dropping it lets others go on.
    pub fn try_lock(&self, etag: &str) -> io::Result<Option<File>> {
        let folder = self.root.join(".locks").join(&self.folder);
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(self.path().join("blobs"))?;
        let file = File::create(folder.join(format!("{etag}.lock")))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Some network file systems have no locks. Two downloads at once would then cost time and be caught by
            // the check of the size.
            Err(TryLockError::Error(error)) => tracing::warn!(%error, "the cache cannot be locked"),
        }
        Ok(Some(file))
    }

    /// Gives the blob its name in the snapshot of `commit`, and makes that commit the revision's.
    pub fn publish(&self, etag: &str, commit: &str, name: &str) -> io::Result<PathBuf> {
        let pointer = self.path().join("snapshots").join(commit).join(name);
        if let Some(parent) = pointer.parent() {
            fs::create_dir_all(parent)?;
        }
        // A link that is there already may dangle.
        match fs::remove_file(&pointer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let up = "../".repeat(2 + Path::new(name).components().count() - 1);
        link(&self.blob(etag), Path::new(&format!("{up}blobs/{etag}")), &pointer)?;
        if self.revision != commit {
            let reference = self.path().join("refs").join(&self.revision);
            if let Some(parent) = reference.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(reference, commit)?;
        }
        Ok(pointer)
    }

    fn path(&self) -> PathBuf {
        self.root.join(&self.folder)
    }
}

/// Links `pointer` to the blob: by a relative symbolic link, or a copy where the system allows none.
fn link(blob: &Path, relative: &Path, pointer: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(relative, pointer);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(relative.to_string_lossy().replace('/', "\\"), pointer);
    #[cfg(not(any(unix, windows)))]
    let linked: io::Result<()> = Err(io::Error::from(io::ErrorKind::Unsupported));
    linked.or_else(|_| fs::hard_link(blob, pointer)).or_else(|_| fs::copy(blob, pointer).map(|_| ()))
}

/// Hugging Face's home folder: `HF_HOME`, else `huggingface` in the user's cache folder.
pub fn home() -> Result<PathBuf, String> {
    if let Some(home) = env("HF_HOME") {
        return Ok(expand(&home));
    }
    let caches = match env("XDG_CACHE_HOME") {
        Some(folder) => Some(expand(&folder)),
        None => std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".cache")),
    };
    let caches = caches.ok_or("no home folder is known to hold the cache; set HF_HOME to a folder for it")?;
    Ok(caches.join("huggingface"))
}

/// A leading `~` stands for the home folder.
fn expand(folder: &str) -> PathBuf {
    match (folder.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.into(),
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether `text`, which becomes part of a path, cannot lead out of its folder.
pub fn is_plain(text: &str, also: &[char]) -> bool {
    !text.is_empty()
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || also.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_server_cannot_leave_the_cache() {
        for name in ["main", "v1.0", "0123abc", "a-b_c"] {
            assert!(is_plain(name, &[]), "{name}");
        }
        assert!(is_plain("refs/pr/1", &['/']));
        for name in ["", "..", "a/../b", "/etc", "a b", "a\\b", ".hidden", "a//b"] {
            assert!(!is_plain(name, &['/']), "{name}");
        }
    }
}
