//! A temporary file for what waits and does not fit into the memory that it may take.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// How frames wait until it is known which are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpillSettings {
    /// Frames that wait in memory; the others wait in a temporary file.
    pub in_memory: usize,
    /// Folder of the temporary file; the system's unless set.
    pub folder: Option<PathBuf>,
}

/// Frames that wait in memory unless set otherwise: all where there are no files.
pub(crate) const WAITING_FRAMES: usize = if cfg!(target_family = "wasm") { usize::MAX } else { 16 };

impl Default for SpillSettings {
    fn default() -> Self {
        Self { in_memory: WAITING_FRAMES, folder: None }
    }
}

/// A file without a name, which the system removes when it is closed, however the program ends.
pub(crate) struct SpillFile {
    file: File,
    folder: PathBuf,
    len: u64,
}

impl SpillFile {
    /// # Errors
    /// A folder that does not exist or cannot be written to.
    pub fn create(folder: Option<&Path>) -> Result<Self> {
        let folder = folder.map_or_else(std::env::temp_dir, Path::to_owned);
        match tempfile::tempfile_in(&folder) {
            Ok(file) => Ok(Self { file, folder, len: 0 }),
            Err(source) => Err(Error::Spill { folder, bytes: 0, source }),
        }
    }

    /// Writes `parts` one after the other at the end; returns where they begin.
    ///
    /// # Errors
    /// A full disk above all.
    pub fn append<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<u64> {
        let start = self.len;
        let write = || {
            self.file.seek(SeekFrom::Start(start))?;
            for part in parts {
                self.file.write_all(part)?;
                self.len += part.len() as u64;
            }
            Ok(start)
        };
        write().map_err(|source| self.failed(source))
    }

    /// Reads into `bytes` what was written at `offset`.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Spill { folder: self.folder.clone(), bytes: self.len, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chain;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SpillFile::create(Some(folder.path())).unwrap();
        assert_eq!(file.append([&b"abc"[..], b"de"]).unwrap(), 0);
        assert_eq!(file.append([&b"fgh"[..]]).unwrap(), 5);
        let mut bytes = [0; 4];
        file.read(3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"defg");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn an_impossible_folder_is_named() {
        let error = SpillFile::create(Some(Path::new("/nonexistent/place"))).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/place") && error.contains("TMPDIR"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut file = SpillFile { file, folder: "/some/disk".into(), len: 7 << 20 };
        let error = chain(&file.append([&b"abc"[..]]).unwrap_err());
        assert!(error.contains("/some/disk") && error.contains("7 MB") && error.contains("No space left"), "{error}");
    }
}
