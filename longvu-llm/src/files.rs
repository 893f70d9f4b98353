//! Reading a checkpoint's small files, which may come from anyone.

use std::{io::ErrorKind, path::Path};

use longvu_checkpoint::{config::parse_json, files::read_limited};
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The bytes of a regular file of at most `limit`, or `None` where there is no such file.
pub(crate) fn read_if_present(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match read_limited(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.into(), source }),
    }
}

/// The file's text, or `None` where there is no such file. A byte-order mark is no part of it.
pub(crate) fn read_text_if_present(path: &Path, limit: u64) -> Result<Option<String>> {
    let Some(bytes) = read_if_present(path, limit)? else { return Ok(None) };
    let text = String::from_utf8(without_mark(bytes));
    let not_text = |_| std::io::Error::new(ErrorKind::InvalidData, "it is not text in UTF-8");
    text.map(Some).map_err(|error| Error::Read { path: path.into(), source: not_text(error) })
}

/// The file parsed as JSON as Python reads it, or `None` where there is no such file.
pub(crate) fn read_json_if_present<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>> {
    let Some(bytes) = read_if_present(path, limit)? else { return Ok(None) };
    parse_json(&bytes).map(Some).map_err(|reason| Error::json(path, &reason))
}

/// The bytes without the mark that some editors put first.
fn without_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    bytes
}
