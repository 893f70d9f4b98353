//! Values as Python writes them: `str`, `repr`, and what they cost.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::namespace::Namespace;
use crate::limits::{VALUE_DEPTH, VALUE_ITEMS};

/// Bytes of text for one step.
const BYTES_A_STEP: usize = 64;

/// Items looked at for one step.
const ITEMS_A_STEP: usize = 4;

/// A refusal.
pub(super) fn refuse(reason: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// Pays for bytes before they are made.
pub(super) fn pay_bytes(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / BYTES_A_STEP) as u64)
}

/// Pays for items before they are made or looked at.
pub(super) fn pay_items(state: &State, items: usize) -> Result<(), Error> {
    state.consume_fuel((items / ITEMS_A_STEP) as u64)
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
    let mut text = Repr { state, text: String::new(), paid: 0 };
    text.write(value, 0)?;
    Ok(text.text)
}

struct Repr<'s, 't, 'e> {
    state: &'s State<'t, 'e>,
    text: String,
    /// Bytes of `text` paid for.
    paid: usize,
}

impl Repr<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        check_depth(depth)?;
        if self.text.len() - self.paid >= BYTES_A_STEP {
            pay_bytes(self.state, self.text.len() - self.paid)?;
            self.paid = self.text.len();
        }
        match value.kind() {
            ValueKind::Undefined => self.text.push_str("Undefined"),
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                pay_bytes(self.state, text.len())?;
                quote(&mut self.text, text);
            }
            ValueKind::Number if !value.is_integer() => self.text.push_str(&float(value)),
            ValueKind::Seq if value.is_tuple() => self.write_items(value, ["(", ")"], depth)?,
            ValueKind::Seq | ValueKind::Iterable => self.write_items(value, ["[", "]"], depth)?,
            ValueKind::Map => self.write_pairs(value, depth)?,
            _ => self.text.push_str(&value.to_string()),
        }
        Ok(())
    }

    fn write_items(&mut self, value: &Value, [open, close]: [&str; 2], depth: usize) -> Result<(), Error> {
        self.text.push_str(open);
        let mut count = 0;
        for item in value.try_iter()?.checked() {
            if count > 0 {
                self.text.push_str(", ");
            }
            self.write(&item?, depth + 1)?;
            count += 1;
        }
        if value.is_tuple() && count == 1 {
            self.text.push(',');
        }
        self.text.push_str(close);
        Ok(())
    }

    fn write_pairs(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let is_namespace = value.downcast_object_ref::<Namespace>().is_some();
        self.text.push_str(if is_namespace { "<Namespace {" } else { "{" });
        for (index, key) in value.try_iter()?.checked().enumerate() {
            let key = key?;
            if index > 0 {
                self.text.push_str(", ");
            }
            self.write(&key, depth + 1)?;
            self.text.push_str(": ");
            self.write(&value.get_item(&key)?, depth + 1)?;
        }
        self.text.push_str(if is_namespace { "}>" } else { "}" });
        Ok(())
    }
}

/// A text in Python's quotes.
fn quote(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ 0..=0xFF => out.push_str(&format!("\\x{code:02x}")),
                code @ 0x100..=0xFFFF => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
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

/// Refuses a value that holds too much, or too deep, or something that could come to hold itself.
pub(super) fn check_size(state: &State, value: &Value) -> Result<(), Error> {
    let mut items = 0;
    count_items(value, 0, &mut items)?;
    pay_items(state, items)
}

/// Pays for values that are looked through.
pub(super) fn pay_for<'v>(state: &State, values: impl IntoIterator<Item = &'v Value>) -> Result<(), Error> {
    let mut items = 0;
    for value in values {
        match value.as_str() {
            Some(text) => pay_bytes(state, text.len())?,
            None if value.downcast_object_ref::<Namespace>().is_some() => {
                for name in value.try_iter()?.checked() {
                    count_items(&value.get_item(&name?)?, 0, &mut items)?;
                }
            }
            None => count_items(value, 0, &mut items)?,
        }
    }
    pay_items(state, items)
}

fn count_items(value: &Value, depth: usize, items: &mut usize) -> Result<(), Error> {
    *items += 1;
    check_depth(depth)?;
    if *items > VALUE_ITEMS {
        return Err(refuse(format!("a list or mapping would hold more than {VALUE_ITEMS} items")));
    }
    match value.kind() {
        ValueKind::Map => {
            if value.downcast_object_ref::<Namespace>().is_some() {
                return Err(refuse("a namespace may not be put into a list, a mapping or a namespace"));
            }
            for key in value.try_iter()?.checked() {
                let key = key?;
                count_items(&key, depth + 1, items)?;
                count_items(&value.get_item(&key)?, depth + 1, items)?;
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for item in value.try_iter()?.checked() {
                count_items(&item?, depth + 1, items)?;
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn check_depth(depth: usize) -> Result<(), Error> {
    if depth <= VALUE_DEPTH {
        return Ok(());
    }
    Err(refuse(format!("lists and mappings would be nested in each other more than {VALUE_DEPTH} deep")))
}
