//! Python's `%` between a text and values.

use std::{iter::Peekable, str::Chars};

use minijinja::{
    Error, State, Value,
    formatting::{FormatStyle, format as format_number},
    value::ValueKind,
};

use super::{
    text::{Paid, ascii, beginning, pay_bytes, refuse, repr, text_of},
    values::Number,
};
use crate::limits::FORMAT_WIDTH;

/// `format % arguments`.
pub(super) fn format(state: &State, format: &str, arguments: &Value) -> Result<String, Error> {
    // Read, and copied where it names keys.
    pay_bytes(state, format.len())?;
    let mut values = Values::of(arguments)?;
    let mut text = Paid::new(state);
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push([character])?;
            continue;
        }
        if characters.next_if_eq(&'%').is_some() {
            text.push(['%'])?;
            continue;
        }
        let conversion = Conversion::parse(&mut characters, &mut values)?;
        conversion.write(&mut text, &mut values)?;
        state.consume_fuel(1)?;
    }
    values.check_end()?;
    text.finish()
}

/// The right side.
struct Values {
    all: Vec<Value>,
    next: usize,
    /// What `%(name)s` looks into.
    mapping: Option<Value>,
}

impl Values {
    fn of(arguments: &Value) -> Result<Self, Error> {
        let container = matches!(arguments.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Iterable);
        if arguments.is_tuple() {
            return Ok(Self {
                all: arguments.try_iter()?.checked().collect::<Result<_, _>>()?,
                next: 0,
                mapping: None,
            });
        }
        Ok(Self { all: vec![arguments.clone()], next: 0, mapping: container.then(|| arguments.clone()) })
    }

    fn take(&mut self) -> Result<Value, Error> {
        self.next += 1;
        self.all.get(self.next - 1).cloned().ok_or_else(|| refuse("not enough arguments for format string"))
    }

    fn check_end(&self) -> Result<(), Error> {
        if self.mapping.is_some() || self.next >= self.all.len() {
            return Ok(());
        }
        Err(refuse("not all arguments converted during string formatting"))
    }
}

/// What follows a `%`.
struct Conversion {
    key: Option<String>,
    flags: String,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

impl Conversion {
    fn parse(characters: &mut Peekable<Chars>, values: &mut Values) -> Result<Self, Error> {
        let key = if characters.next_if_eq(&'(').is_some() { Some(key(characters)?) } else { None };
        let mut flags = String::new();
        while let Some(flag) = characters.next_if(|c| "#0- +".contains(*c)) {
            if !flags.contains(flag) {
                flags.push(flag);
            }
        }
        let width = number(characters, values)?.unwrap_or_default();
        if width < 0 {
            flags.push('-');
        }
        let precision = match characters.next_if_eq(&'.') {
            Some(_) => Some(size(number(characters, values)?.unwrap_or_default().max(0))?),
            None => None,
        };
        let _ = characters.next_if(|c| "hlL".contains(*c));
        let kind = characters.next().ok_or_else(|| refuse("incomplete format"))?;
        Ok(Self { key, flags, width: size(width)?, precision, kind })
    }

    fn write(&self, text: &mut Paid, values: &mut Values) -> Result<(), Error> {
        let state = text.state;
        let value = match (&self.key, &values.mapping) {
            (Some(key), Some(mapping)) if mapping.kind() == ValueKind::Map => {
                let value = mapping.get_item(&Value::from(key.as_str()))?;
                if value.is_undefined() {
                    return Err(refuse(format!("the mapping has no {:?}", beginning(key))));
                }
                value
            }
            (Some(_), _) => return Err(refuse("format requires a mapping")),
            (None, _) => values.take()?,
        };
        match self.kind {
            's' => self.pad(text, self.cut(&text_of(state, &value)?)),
            'r' => self.pad(text, self.cut(&repr(state, &value)?)),
            'a' => self.pad(text, self.cut(&ascii(state, &repr(state, &value)?)?)),
            'c' => self.pad(text, &character(&value)?),
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                text.push_str(&self.number(&value)?)
            }
            other => Err(refuse(format!("unsupported format character {other:?}"))),
        }
    }

    fn cut<'t>(&self, text: &'t str) -> &'t str {
        let end = self.precision.and_then(|most| text.char_indices().nth(most));
        end.map_or(text, |(end, _)| &text[..end])
    }

    fn pad(&self, out: &mut Paid, text: &str) -> Result<(), Error> {
        let missing = " ".repeat(self.width.saturating_sub(text.chars().count()));
        let [first, second] = if self.flags.contains('-') { [text, &missing] } else { [&missing, text] };
        out.push_str(first)?;
        out.push_str(second)
    }

    fn number(&self, value: &Value) -> Result<String, Error> {
        let wrong = || refuse(format!("%{} needs a number, not {}", self.kind, value.kind()));
        let number = Number::of(value).ok_or_else(wrong)?;
        let (kind, value) = match (self.kind, number) {
            ('d' | 'i' | 'u', Number::Whole(whole)) => ('d', Value::from(whole)),
            ('d' | 'i' | 'u', Number::Float(float)) if float.abs() < 1e30 => ('d', Value::from(float.trunc() as i128)),
            ('d' | 'i' | 'u' | 'o' | 'x' | 'X', Number::Float(_)) => return Err(wrong()),
            ('o' | 'x' | 'X', Number::Whole(whole)) => (self.kind, Value::from(whole)),
            (kind, number) => (kind, Value::from(number.float())),
        };
        let precision = self.precision.map_or_else(String::new, |digits| format!(".{digits}"));
        let width = if self.width > 0 { self.width.to_string() } else { String::new() };
        let specification = format!("%{}{width}{precision}{kind}", self.flags);
        format_number(FormatStyle::Printf, &specification, &[value])
    }
}

/// The name in `%(name)s`, up to the matching parenthesis.
fn key(characters: &mut Peekable<Chars>) -> Result<String, Error> {
    let mut key = String::new();
    let mut depth = 1;
    for character in characters {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(key);
        }
        key.push(character);
    }
    Err(refuse("incomplete format key"))
}

/// A width or precision, which `*` takes from the values.
fn number(characters: &mut Peekable<Chars>, values: &mut Values) -> Result<Option<i64>, Error> {
    if characters.next_if_eq(&'*').is_some() {
        let value = values.take()?;
        return i64::try_from(value).map(Some).map_err(|_| refuse("* wants a whole number"));
    }
    let mut digits = String::new();
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    Ok(if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(i64::MAX)) })
}

/// A width or precision within its limit.
pub(super) fn size(number: i64) -> Result<usize, Error> {
    match usize::try_from(number.unsigned_abs()) {
        Ok(size) if size <= FORMAT_WIDTH => Ok(size),
        _ => Err(refuse(format!("a width of {number} is more than the {FORMAT_WIDTH} allowed"))),
    }
}

fn character(value: &Value) -> Result<String, Error> {
    match Number::of(value) {
        Some(Number::Whole(code)) => {
            u32::try_from(code).ok().and_then(char::from_u32).map(String::from).ok_or_else(|| refuse("%c out of range"))
        }
        _ => match value.as_str() {
            Some(text) if text.chars().count() == 1 => Ok(text.to_owned()),
            _ => Err(refuse("%c requires a number or a single character")),
        },
    }
}
