//! Python's `str.format`.

use minijinja::{
    Error, State, Value,
    formatting::{FormatStyle, format as fill},
    value::ValueKind,
};

use super::{
    printf::size,
    text::{pay_bytes, repr},
};

/// Bytes that a number takes at most, without the digits that it is asked for: those of the largest `float`, with marks
/// between its thousands.
const NUMBER_BYTES: usize = 450;

/// How much longer the engine may write a value than Python: its escapes have more characters.
const ENGINE_BYTES: usize = 8;

/// `text.format(*args)`, whose widths may be numbers in the text only.
pub(super) fn format(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let fields = text.matches('{').count();
    let (mut longest, mut values) = (NUMBER_BYTES, Vec::with_capacity(args.len()));
    for arg in args {
        let mut value = arg.clone();
        longest = longest.max(match arg.kind() {
            ValueKind::String => {
                arg.as_str().map_or(0, str::len).saturating_mul(if text.contains('!') { ENGINE_BYTES } else { 1 })
            }
            ValueKind::Seq | ValueKind::Iterable if !text.contains(['[', '.']) => {
                value = Value::from(repr(state, arg)?);
                value.as_str().map_or(0, str::len)
            }
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
                repr(state, arg)?.len().saturating_mul(ENGINE_BYTES)
            }
            _ => 0,
        });
        values.push(value);
    }
    pay_bytes(state, fields.saturating_mul(longest).saturating_add(padding(text)?))?;
    fill(FormatStyle::StrFormat, text, &values).map(Value::from)
}

/// Bytes that the numbers within braces may ask for; each may be a width, and what fills it up to four bytes long.
fn padding(text: &str) -> Result<usize, Error> {
    let (mut bytes, mut within, mut number) = (0_usize, false, 0_i64);
    for c in text.chars() {
        match c {
            '{' => within = true,
            '}' => within = false,
            _ => {}
        }
        match c.to_digit(10).filter(|_| within) {
            Some(digit) => number = number.saturating_mul(10).saturating_add(digit.into()),
            None => {
                bytes = bytes.saturating_add(size(number)? * 4);
                number = 0;
            }
        }
    }
    Ok(bytes)
}
