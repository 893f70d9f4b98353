//! Files that are bytes of this process: where there is no file system, in a browser, or where a model is part of a program.
//!
//! Their paths begin with `memory:`, and are taken wherever a path of a model's file or folder is. They are the process's, and
//! stay until they are forgotten.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the paths of such files begin with.
const ROOT: &str = "memory:";

/// A file's bytes, shared with whoever reads them.
pub(crate) type Bytes = Arc<Cow<'static, [u8]>>;

/// Puts a file `name`, such as `config.json` or `siglip/config.json`, into the folder in memory called `folder`, and returns the
/// folder's path, which `LongVu::builder` takes. A file of that name is replaced; whoever reads it keeps the old one.
pub fn put(folder: &str, name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> PathBuf {
    let folder = Path::new(ROOT).join(folder.trim_matches('/'));
    files().insert(folder.join(name), Arc::new(bytes.into()));
    folder
}

/// Forgets the files of the folder at `path`, as [`put`] returned it, and those in folders below.
pub fn forget(path: &Path) {
    files().retain(|file, _| !file.starts_with(path));
}

/// The file at `path`; `None` where that names no place in memory.
pub(crate) fn find(path: &Path) -> Option<Result<Bytes>> {
    if !path.starts_with(ROOT) {
        return None;
    }
    let found = files().get(path).map(Arc::clone);
    Some(found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such file was put into memory")))
}

/// Whether `path` is a folder in memory with something in it.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.starts_with(ROOT) && files().keys().any(|file| file != path && file.starts_with(path))
}

fn files() -> MutexGuard<'static, BTreeMap<PathBuf, Bytes>> {
    static FILES: Mutex<BTreeMap<PathBuf, Bytes>> = Mutex::new(BTreeMap::new());
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_file_is_found_until_its_folder_is_forgotten() {
        let folder = put("/some/model/", "config.json", &b"{}"[..]);
        put("some/model", "siglip/config.json", b"[1]".to_vec());
        let config = folder.join("config.json");
        assert!(files::is_folder(&folder) && files::is_folder(&folder.join("siglip")) && !files::is_folder(&config));
        assert!(files::is_regular(&config).unwrap() && !files::is_regular(&folder.join("else")).unwrap());
        assert_eq!(files::read_limited(&config, 2).unwrap(), b"{}");
        assert_eq!(files::read_limited(&config, 1).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(files::read_limited(&folder.join("siglip/config.json"), 9).unwrap(), b"[1]");
        assert!(files::open_regular(&config).is_err());
        put("some/model", "config.json", &b"{ }"[..]);
        assert_eq!(files::read_limited(&config, 9).unwrap(), b"{ }");
        forget(&folder);
        assert!(!files::is_folder(&folder));
        assert_eq!(files::read_limited(&config, 9).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
