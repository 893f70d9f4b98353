//! Letters, words and white space as Python sees them.

use std::collections::BTreeSet;

use minijinja::{Error, State, Value};

use super::{arguments::Arguments, text::pay_bytes};

/// Python's white space: Unicode's, and four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `text.split(maxsplit=most - 1)`: at runs of white space, of which those at the ends give nothing.
pub(super) fn split(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if parts.len() + 1 >= most {
            // The last part keeps the white space at its end, unless there is nothing to split.
            parts.push(rest);
            break;
        }
        let end = rest.find(is_space).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    parts
}

/// The same, from the end on.
pub(super) fn split_from_the_right(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        if parts.len() + 1 >= most {
            parts.push(rest);
            break;
        }
        let start = rest.char_indices().rev().find(|&(_, c)| is_space(c)).map_or(0, |(place, c)| place + c.len_utf8());
        parts.push(&rest[start..]);
        rest = rest[..start].trim_end_matches(is_space);
    }
    parts.reverse();
    parts
}

/// Words in Jinja's sense: runs of letters, digits and underscores.
pub(super) fn count(text: &str) -> usize {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
}

/// Bytes that a text has at most once its case is changed: some characters of two bytes become three of two.
pub(super) fn cased_bytes(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.len().saturating_mul(3) }
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase()
}

pub(super) fn change_case(state: &State, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    Arguments::bind("a change of case", [], args)?;
    pay_bytes(state, cased_bytes(text))?;
    match method {
        "upper" => return Ok(Value::from(text.to_uppercase())),
        "lower" => return Ok(Value::from(text.to_lowercase())),
        _ => {}
    }
    let mut changed = String::with_capacity(text.len());
    let mut after_letter = false;
    for c in text.chars() {
        let upper = match method {
            "title" => !after_letter,
            "capitalize" => changed.is_empty(),
            "swapcase" => c.is_lowercase(),
            _ => false,
        };
        match (upper, c) {
            (true, c) => changed.extend(c.to_uppercase()),
            (false, 'ß') if method == "casefold" => changed.push_str("ss"),
            (false, c) => changed.extend(c.to_lowercase()),
        }
        after_letter = is_cased(c);
    }
    Ok(Value::from(changed))
}

pub(super) fn is_of_kind(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    Arguments::bind("a question about a string", [], args)?;
    let all = |kind: fn(char) -> bool| !text.is_empty() && text.chars().all(kind);
    Ok(Value::from(match method {
        "isspace" => all(is_space),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉' | '①'..='⑨')),
        "isnumeric" => all(char::is_numeric),
        "isidentifier" => {
            let mut characters = text.chars();
            characters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
                && characters.all(|c| c == '_' || c.is_alphanumeric())
        }
        "isprintable" => text.chars().all(|c| c == ' ' || !(c.is_control() || c.is_whitespace())),
        _ => is_title(text),
    }))
}

/// Whether a character is a decimal digit: one of ASCII, Arabic, Persian, Devanagari, Bengali or Thai, or a full-width
/// one.
fn is_decimal(c: char) -> bool {
    let foreign = matches!(u32::from(c),
        0x660..=0x669 | 0x6F0..=0x6F9 | 0x966..=0x96F | 0x9E6..=0x9EF | 0xE50..=0xE59 | 0xFF10..=0xFF19);
    c.is_ascii_digit() || foreign
}

fn is_title(text: &str) -> bool {
    let (mut any, mut after_letter) = (false, false);
    for c in text.chars() {
        if (c.is_uppercase() && after_letter) || (c.is_lowercase() && !after_letter) {
            return false;
        }
        after_letter = is_cased(c);
        any |= after_letter;
    }
    any
}

/// A text without what Python's `strip` takes off at the ends that are asked for: white space, or the given characters.
pub(super) fn strip<'t>(text: &'t str, characters: Option<&str>, [start, end]: [bool; 2]) -> &'t str {
    let characters: Option<BTreeSet<char>> = characters.map(|characters| characters.chars().collect());
    let goes = |c: char| characters.as_ref().map_or_else(|| is_space(c), |characters| characters.contains(&c));
    let text = if start { text.trim_start_matches(goes) } else { text };
    if end { text.trim_end_matches(goes) } else { text }
}
