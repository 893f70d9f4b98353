//! Reading a checkpoint's small files, which may come from anyone.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use longvu_core::files::read_limited;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

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

/// The file parsed as JSON, or `None` where there is no such file. What Python's writer adds to JSON (`NaN`,
/// `Infinity`) is read as a number that is none: values that are not looked at may be it.
pub(crate) fn read_json_if_present<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>> {
    let Some(bytes) = read_if_present(path, limit)? else { return Ok(None) };
    let bytes = without_mark(bytes);
    let json = standard_json(&bytes);
    serde_json::from_slice(&json).map(Some).map_err(|source| Error::Json { path: path.into(), source })
}

/// The bytes without the mark that some editors put first.
pub(crate) fn without_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        bytes.drain(..3);
    }
    bytes
}

/// What stands for `NaN`, `Infinity` and `-Infinity`: a number with a fraction, so that ids and texts refuse it.
const NOT_FINITE: &[u8] = b"0.5";

/// JSON with the numbers that Python's writer adds to the standard replaced, outside of strings.
pub(crate) fn standard_json(json: &[u8]) -> Cow<'_, [u8]> {
    let mut replaced = Vec::new();
    let (mut copied, mut place, mut in_string) = (0, 0, false);
    while let Some(&byte) = json.get(place) {
        match (byte, in_string) {
            (b'\\', true) => place += 1,
            (b'"', _) => in_string = !in_string,
            (b'N' | b'I' | b'-', false) => {
                let rest = &json[place..];
                let words: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
                if let Some(word) = words.into_iter().find(|word| rest.starts_with(word)) {
                    replaced.extend_from_slice(&json[copied..place]);
                    replaced.extend_from_slice(NOT_FINITE);
                    place += word.len();
                    copied = place;
                    continue;
                }
            }
            _ => {}
        }
        place += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    replaced.extend_from_slice(&json[copied..]);
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_python_are_replaced_outside_of_strings() {
        let read = |json: &str| String::from_utf8(standard_json(json.as_bytes()).into_owned()).unwrap();
        assert_eq!(read(r#"{"a": NaN, "b": [-Infinity,Infinity], "c": -1}"#), r#"{"a": 0.5, "b": [0.5,0.5], "c": -1}"#);
        let strings = r#"{"NaN": "Infinity \" NaN \\", "x": 1}"#;
        assert!(matches!(standard_json(strings.as_bytes()), Cow::Borrowed(_)));
        assert_eq!(read(strings), strings);
    }
}
