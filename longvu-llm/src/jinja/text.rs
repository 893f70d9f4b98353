//! Values as Python writes them: `str`, `repr`, and what they cost.

use std::borrow::Cow;

use minijinja::{Error, ErrorKind, State, Value, value::ValueKind};

use super::namespace::Namespace;
use crate::limits::{ITEMS_A_STEP, QUOTED_CHARACTERS, TEXT_BYTES_A_STEP, VALUE_DEPTH, VALUE_ITEMS};

/// Bytes that are written before they are paid for.
const UNPAID: usize = 4096;

/// A refusal.
pub(super) fn refuse(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// As much of a text as a refusal repeats.
pub(super) fn beginning(text: &str) -> &str {
    text.char_indices().nth(QUOTED_CHARACTERS).map_or(text, |(end, _)| &text[..end])
}

/// Pays for bytes before they are made.
pub(super) fn pay_bytes(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / TEXT_BYTES_A_STEP) as u64)
}

/// Pays for items before they are made or looked at.
pub(super) fn pay_items(state: &State, items: usize) -> Result<(), Error> {
    state.consume_fuel((items / ITEMS_A_STEP) as u64)
}

/// Pays for the items of a list before it is made, and refuses too many.
pub(super) fn pay_list(state: &State, items: usize) -> Result<(), Error> {
    if items > VALUE_ITEMS {
        return Err(too_many());
    }
    pay_items(state, items)
}

fn too_many() -> Error {
    refuse(format!("a list or mapping would hold more than {VALUE_ITEMS} items"))
}

/// A text that is paid for as it grows.
pub(super) struct Paid<'s, 't, 'e> {
    pub state: &'s State<'t, 'e>,
    text: String,
    /// Bytes of `text` paid for.
    paid: usize,
}

impl<'s, 't, 'e> Paid<'s, 't, 'e> {
    pub fn new(state: &'s State<'t, 'e>) -> Self {
        Self { state, text: String::new(), paid: 0 }
    }

    /// Adds a text, which may be long.
    pub fn push_str(&mut self, text: &str) -> Result<(), Error> {
        pay_bytes(self.state, (self.text.len() - self.paid).saturating_add(text.len()))?;
        self.text.push_str(text);
        self.paid = self.text.len();
        Ok(())
    }

    /// Adds a few characters.
    pub fn push(&mut self, characters: impl IntoIterator<Item = char>) -> Result<(), Error> {
        self.text.extend(characters);
        if self.text.len() - self.paid >= UNPAID { self.push_str("") } else { Ok(()) }
    }

    pub fn finish(mut self) -> Result<String, Error> {
        self.push_str("")?;
        Ok(self.text)
    }
}

/// Python's `str(value)`.
pub(super) fn text_of<'v>(state: &State, value: &'v Value) -> Result<Cow<'v, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None if value.is_undefined() => Ok(Cow::Borrowed("")),
        None => repr(state, value).map(Cow::Owned),
    }
}

/// Python's `repr(value)`.
pub(super) fn repr(state: &State, value: &Value) -> Result<String, Error> {
    let mut text = Paid::new(state);
    write(&mut text, value, 0)?;
    text.finish()
}

/// Python's `ascii(value)`, of what `repr` gave.
pub(super) fn ascii(state: &State, text: &str) -> Result<String, Error> {
    let mut escaped = Paid::new(state);
    for c in text.chars() {
        if c.is_ascii() { escaped.push([c])? } else { escaped.push(escape(c).chars())? }
    }
    escaped.finish()
}

fn write(text: &mut Paid, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::Undefined => text.push("Undefined".chars()),
        ValueKind::String => quote(text, value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => text.push(float(value).chars()),
        ValueKind::Seq if value.is_tuple() => write_items(text, value, ['(', ')'], depth),
        ValueKind::Seq | ValueKind::Iterable => write_items(text, value, ['[', ']'], depth),
        ValueKind::Map => write_pairs(text, value, depth),
        _ => text.push(value.to_string().chars()),
    }
}

fn write_items(text: &mut Paid, value: &Value, [open, close]: [char; 2], depth: usize) -> Result<(), Error> {
    text.push([open])?;
    let mut count = 0;
    for item in value.try_iter()?.checked() {
        if count > 0 {
            text.push([',', ' '])?;
        }
        write(text, &item?, depth + 1)?;
        count += 1;
    }
    if value.is_tuple() && count == 1 {
        text.push([','])?;
    }
    text.push([close])
}

fn write_pairs(text: &mut Paid, value: &Value, depth: usize) -> Result<(), Error> {
    let is_namespace = value.downcast_object_ref::<Namespace>().is_some();
    text.push(if is_namespace { "<Namespace {" } else { "{" }.chars())?;
    for (index, key) in value.try_iter()?.checked().enumerate() {
        let key = key?;
        if index > 0 {
            text.push([',', ' '])?;
        }
        write(text, &key, depth + 1)?;
        text.push([':', ' '])?;
        write(text, &value.get_item(&key)?, depth + 1)?;
    }
    text.push(if is_namespace { "}>" } else { "}" }.chars())
}

/// A text in Python's quotes.
fn quote(out: &mut Paid, text: &str) -> Result<(), Error> {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push([quote])?;
    for c in text.chars() {
        match c {
            '\n' => out.push(['\\', 'n'])?,
            '\r' => out.push(['\\', 'r'])?,
            '\t' => out.push(['\\', 't'])?,
            '\\' => out.push(['\\', '\\'])?,
            c if c == quote => out.push(['\\', c])?,
            c if is_printable(c) => out.push([c])?,
            c => out.push(escape(c).chars())?,
        }
    }
    out.push([quote])
}

/// A character as the number that it has.
fn escape(c: char) -> String {
    match u32::from(c) {
        code @ 0..=0xFF => format!("\\x{code:02x}"),
        code @ 0x100..=0xFFFF => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether Python writes a character as it is: all but control characters, unassigned ones and spaces other than `' '`.
fn is_printable(c: char) -> bool {
    // Rust's own rule, for a character that is not the first: one that combines with its neighbour is printable.
    matches!(c, '\'' | '"')
        || (c == ' ' || !c.is_whitespace()) && {
            let text = String::from_iter(['a', c]);
            text.escape_debug().eq(text.chars())
        }
}

/// A number with a fraction as Python writes it: the shortest digits that give it back.
pub(super) fn float(value: &Value) -> String {
    let number = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or_default();
            format!("{digits}e{exponent:+03}")
        }
        None => text,
    }
}

/// What a value holds.
#[derive(Default)]
struct Contents {
    items: usize,
    /// Bytes of all texts.
    bytes: usize,
}

/// Refuses a value that holds too much, or too deep, or something that could come to hold itself.
pub(super) fn check_size(state: &State, value: &Value) -> Result<(), Error> {
    let mut contents = Contents::default();
    contents.add(value, 0)?;
    pay_items(state, contents.items)
}

/// Pays for values that are looked through.
pub(super) fn pay_for<'v>(state: &State, values: impl IntoIterator<Item = &'v Value>) -> Result<(), Error> {
    let mut contents = Contents::default();
    for value in values {
        match value.as_str() {
            Some(text) => pay_bytes(state, text.len())?,
            None => contents.add_shown(value)?,
        }
    }
    pay_items(state, contents.items)
}

/// Pays for comparing values, or those that they hold, with each other: for all their texts.
pub(super) fn pay_to_compare<'v>(state: &State, values: impl IntoIterator<Item = &'v Value>) -> Result<(), Error> {
    let mut contents = Contents::default();
    values.into_iter().try_for_each(|value| contents.add_shown(value))?;
    pay_items(state, contents.items)?;
    pay_bytes(state, contents.bytes)
}

impl Contents {
    /// Adds a value, or what it shows where it is a namespace.
    fn add_shown(&mut self, value: &Value) -> Result<(), Error> {
        if value.downcast_object_ref::<Namespace>().is_none() {
            return self.add(value, 0);
        }
        for name in value.try_iter()?.checked() {
            self.add(&value.get_item(&name?)?, 0)?;
        }
        Ok(())
    }

    fn add(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.items += 1;
        check_depth(depth)?;
        if self.items > VALUE_ITEMS {
            return Err(too_many());
        }
        match value.kind() {
            ValueKind::String => {
                self.bytes = self.bytes.saturating_add(value.as_str().map_or(0, str::len));
            }
            ValueKind::Map => {
                if value.downcast_object_ref::<Namespace>().is_some() {
                    return Err(refuse("a namespace may not be put into a list, a mapping or a namespace"));
                }
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    self.add(&key, depth + 1)?;
                    self.add(&value.get_item(&key)?, depth + 1)?;
                }
            }
            ValueKind::Seq | ValueKind::Iterable => {
                for item in value.try_iter()?.checked() {
                    self.add(&item?, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn check_depth(depth: usize) -> Result<(), Error> {
    if depth <= VALUE_DEPTH {
        return Ok(());
    }
    Err(refuse(format!("lists and mappings would be nested in each other more than {VALUE_DEPTH} deep")))
}
