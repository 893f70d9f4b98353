//! JSON as Python reads and writes it.

use std::{borrow::Cow, path::Path};

use serde::de::DeserializeOwned;

use super::invalid;
use crate::{Error, Limits, Result, files};

/// Reads and parses a JSON file, within [`Limits::default`].
///
/// # Errors
/// [`Error::NotFound`], [`Error::Read`], or [`Error::Config`] with the position of the fault.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read_json_within(path, Limits::default().json_bytes)
}

/// Reads and parses a JSON file of at most `limit` bytes as Python does: a byte-order mark and UTF-16 are understood, and
/// `NaN`, `Infinity` and numbers beyond the range of `f64` do no harm where nobody asks for them. Where a number is
/// expected they are strings, and so an error that names their key.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Read`] for a file that is no regular one or too large, or [`Error::Config`] with the
/// position of the fault.
pub fn read_json_within<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T> {
    let bytes = files::read_limited(path, limit).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path: path.to_owned(),
            hint: "a Hugging Face model folder has this file; check that the folder is complete".into(),
        },
        _ => Error::Read { path: path.to_owned(), source },
    })?;
    parse_json(&bytes).map_err(|reason| invalid(path, reason))
}

/// Parses the bytes of a JSON file; see [`read_json_within`].
///
/// # Errors
/// What is wrong and where.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    let text = decode(bytes)?;
    serde_json::from_str(&quote_odd_numbers(&text)).map_err(|error| error.to_string())
}

/// The text of a JSON file in any encoding that Python's `json` detects.
fn decode(bytes: &[u8]) -> std::result::Result<Cow<'_, str>, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|&pair| unit(pair))).collect::<std::result::Result<String, _>>();
        match (text, rest) {
            (Ok(text), []) => Ok(Cow::Owned(text)),
            _ => Err("it begins as UTF-16 and does not go on so; save it as UTF-8".to_owned()),
        }
    };
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => {
            Err("it is UTF-32; save it as UTF-8".into())
        }
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0, _, ..] => utf16(bytes, u16::from_be_bytes),
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            let text = std::str::from_utf8(bytes);
            text.map(Cow::Borrowed).map_err(|error| format!("it is not UTF-8 text ({error}); save it as UTF-8"))
        }
    }
}

/// Puts quotation marks around what Python takes for a number and JSON does not have.
fn quote_odd_numbers(text: &str) -> Cow<'_, str> {
    let (mut quoted, mut copied) = (String::new(), 0);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' | b'N' | b'I' => {
                let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let end = at + bytes[at..].iter().take_while(|b| part(b)).count();
                if is_odd(&text[at..end]) {
                    quoted.push_str(&text[copied..at]);
                    quoted.extend(["\"", &text[at..end], "\""]);
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    quoted.push_str(&text[copied..]);
    Cow::Owned(quoted)
}

/// The position after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == b'"' {
            break;
        }
    }
    at.min(bytes.len())
}

fn is_odd(token: &str) -> bool {
    let is_number = token.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'));
    match token {
        "NaN" | "Infinity" | "-Infinity" => true,
        _ => is_number && token.parse::<f64>().is_ok_and(f64::is_infinite),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(bytes: &[u8]) -> Value {
        parse_json(bytes).unwrap()
    }

    #[test]
    fn what_python_writes_is_read() {
        let text = r#"{"a": Infinity, "b": [-Infinity, NaN, 1e999, -2.5e-3], "c": "NaN, \" Infinity, é", "d": 1E+400}"#;
        let expected = json!({"a": "Infinity", "b": ["-Infinity", "NaN", "1e999", -2.5e-3],
            "c": "NaN, \" Infinity, é", "d": "1E+400"});
        assert_eq!(parsed(text.as_bytes()), expected);
        let long = format!("[{}]", "9".repeat(400));
        assert_eq!(parsed(long.as_bytes()), json!(["9".repeat(400)]));
        assert_eq!(parsed(b"NaN"), json!("NaN"));
    }

    #[test]
    fn a_file_is_read_in_every_encoding_that_python_detects() {
        let text = "{\"é\": \"🎬\"}";
        let expected = json!({"é": "🎬"});
        let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            [b"\xFF\xFE", &little[..]].concat(),
            [b"\xFE\xFF", &big[..]].concat(),
            little.clone(),
            big,
        ] {
            assert_eq!(parsed(&bytes), expected, "{bytes:?}");
        }
        for (bytes, expected) in [
            (&little[..little.len() - 1], "UTF-16"),
            (b"\xFF\xFE\x00\xD8", "UTF-16"),
            (b"\xFF\xFE\x00\x00{\x00\x00\x00", "UTF-32"),
            (b"{\"a\": \"\xE9\"}", "UTF-8"),
        ] {
            let error = parse_json::<Value>(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_python_refuses_stays_an_error() {
        for text in ["", "{", "nan", "[infinity]", "{'a': 1}", "[NaNs]", "[1,]", "\"\\", "\"", "[--1]", "{NaN: 1"] {
            assert!(parse_json::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
