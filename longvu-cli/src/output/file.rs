//! Files that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use longvu::checkpoint::atomic::FileDraft;
use serde::Serialize;

/// Whether two paths lead to one file that is there.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Whether two files that are to be written would be one; what goes to a device does not take another's place.
pub fn is_same_place(a: &Path, b: &Path) -> bool {
    (a == b || is_same_file(a, b)) && (!a.exists() || a.is_file())
}

/// A place for a file, found writable.
pub struct OutFile {
    /// What the file is, for messages.
    what: &'static str,
    path: PathBuf,
    /// A device or pipe, which is written to directly: its reader may go, and opening it again would wait for another.
    device: Option<File>,
}

impl OutFile {
    /// Checks, before any work is done, that `what` can be written to `path`.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be written to, or a path that is a folder itself.
    pub fn prepare(what: &'static str, path: &Path) -> Result<Self> {
        let failed = || format!("{what} cannot be written to {}; name another place", path.display());
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => bail!("{}: it is a folder", failed()),
            // Renaming a file over /dev/null, say, would destroy it.
            Ok(there) if !there.is_file() => {
                let device = OpenOptions::new().write(true).open(path).with_context(failed)?;
                return Ok(Self { what, path: path.to_owned(), device: Some(device) });
            }
            Ok(there) if there.permissions().readonly() => bail!("{}: the file there is read-only", failed()),
            _ => {}
        }
        drop(FileDraft::new(path).with_context(failed)?);
        Ok(Self { what, path: path.to_owned(), device: None })
    }

    /// Whether it will be a file, and not go to a device or pipe.
    pub fn is_file(&self) -> bool {
        self.device.is_none()
    }

    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// As [`OutFile::write_bytes`].
    pub fn write(&self, value: &impl Serialize) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(value).context("it cannot be put as JSON")?;
        json.push(b'\n');
        self.write_bytes(&json)
    }

    /// Writes the whole file: under another name first, so that a full disk leaves nothing half-written.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.write_with(|out| Ok(out.write_all(bytes)?))
    }

    /// Writes the whole file likewise, a piece after the other.
    ///
    /// # Errors
    /// Those of `write`, and whatever the file system says.
    pub fn write_with(&self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let (what, place) = (self.what, self.path.display());
        let failed = || format!("{what} could not be written to {place}; make room, or name another place");
        if let Some(device) = self.device.as_ref() {
            let mut out = BufWriter::new(device);
            return write(&mut out).and_then(|()| Ok(out.flush()?)).with_context(failed);
        }
        let mut draft = FileDraft::new(&self.path).with_context(failed)?;
        let mut out = BufWriter::new(&mut draft);
        write(&mut out).and_then(|()| Ok(out.flush()?)).with_context(failed)?;
        drop(out);
        draft.commit().with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_the_file_there_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.json");
        fs::write(&path, "old").unwrap();
        OutFile::prepare("the report", &path).unwrap().write(&[1, 2]).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<u8>>(&fs::read(&path).unwrap()).unwrap(), [1, 2]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn impossible_places_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/out.json"), PathBuf::from("/")] {
            let error = OutFile::prepare("the report", &path).err().unwrap().to_string();
            assert!(error.contains("cannot be written"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target.json"), folder.path().join("link.json"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        OutFile::prepare("the report", &link).unwrap().write(&true).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "true\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let null = OutFile::prepare("the report", Path::new("/dev/null")).unwrap();
        null.write(&true).unwrap();
        let full = OutFile::prepare("the report", Path::new("/dev/full")).unwrap();
        assert!(format!("{:#}", full.write(&true).unwrap_err()).contains("No space left"));
        assert!(!fs::metadata("/dev/null").unwrap().is_file() && !fs::metadata("/dev/full").unwrap().is_file());
    }
}
