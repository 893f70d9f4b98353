//! A file of JSON lines that survives being killed at any byte.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use longvu::checkpoint::atomic;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// A file that grows by whole lines.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens a file, and returns its lines. A line that was cut off in the middle goes.
    ///
    /// # Errors
    /// A file that cannot be read or written, and a line that is not of this kind.
    pub fn open<T: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<T>)> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(Error::write(path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::read(path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let lines = parse(path, &bytes[..whole])?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(Error::write(path))?;
        }
        file.seek(SeekFrom::End(0)).map_err(Error::write(path))?;
        Ok((Self { path: path.to_owned(), file }, lines))
    }

    /// Adds a line, in one piece.
    ///
    /// # Errors
    /// A disk that is full or fails; the lines before stay.
    pub fn push(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = to_json(&self.path, line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(Error::write(&self.path))
    }
}

/// The lines of a file that another has written; those of its last, whole ones.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = std::fs::read(path).map_err(Error::read(path))?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    parse(path, &bytes[..whole])
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate();
    lines
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|error| Error::BadData {
                path: path.to_owned(),
                reason: format!("line {} is not one that this program writes: {error}", place + 1),
            })
        })
        .collect()
}

/// Replaces a file by these lines, whole or not at all.
pub fn rewrite<T: Serialize>(path: &Path, lines: &[T]) -> Result<()> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(to_json(path, line)?);
        bytes.push(b'\n');
    }
    write(path, &bytes)
}

/// Writes a file as indented JSON, whole or not at all.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| no_json(path, error))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Writes a file, whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes).map_err(Error::write(path))
}

fn to_json(path: &Path, line: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(line).map_err(|error| no_json(path, error))
}

fn no_json(path: &Path, error: serde_json::Error) -> Error {
    Error::BadData { path: path.to_owned(), reason: format!("it cannot be put as JSON: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_goes_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        for cut in 0..8 {
            let (mut journal, lines) = Journal::open::<u64>(&path).unwrap();
            assert!(lines.is_empty());
            journal.push(&123).unwrap();
            journal.push(&456).unwrap();
            let length = std::fs::metadata(&path).unwrap().len();
            OpenOptions::new().write(true).open(&path).unwrap().set_len(length - cut).unwrap();
            let (mut journal, lines) = Journal::open::<u64>(&path).unwrap();
            assert_eq!(
                lines,
                [123, 456][..match cut {
                    0 => 2,
                    1..5 => 1,
                    _ => 0,
                }],
                "{cut} bytes cut off"
            );
            journal.push(&789).unwrap();
            assert_eq!(read::<u64>(&path).unwrap().last(), Some(&789));
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn lines_of_another_kind_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.jsonl");
        std::fs::write(&path, "1\n{}\n").unwrap();
        let error = Journal::open::<u64>(&path).err().unwrap().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
