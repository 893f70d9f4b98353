//! The filter `tojson` as Hugging Face defines it: Python's `json.dumps`, with nothing escaped for HTML.

use minijinja::{
    Error, State, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};

use super::{
    arguments::Arguments,
    printf::size,
    text::{Paid, check_depth, float, pay_bytes, refuse},
    values::Number,
};

/// `value|tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn to_json(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let names = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let options = Arguments::bind("tojson", names, &args.into_values())?;
    let indent = options.get(1).map(indent).transpose()?;
    let separators = match options.get(2) {
        Some(separators) => pair(state, separators)?,
        None if indent.is_some() => [",".into(), ": ".into()],
        None => [", ".into(), ": ".into()],
    };
    let mut json =
        Json { text: Paid::new(state), ascii: options.is_true(0), indent, separators, sort: options.is_true(3) };
    json.write(value, 0)?;
    json.text.finish()
}

/// What one level is indented by: so many spaces, or a text.
fn indent(value: &Value) -> Result<String, Error> {
    match (value.as_str(), Number::of(value)) {
        (Some(text), _) => size(text.len() as i64).map(|_| text.to_owned()),
        (None, Some(Number::Whole(width))) => {
            size(i64::try_from(width.max(0)).unwrap_or(i64::MAX)).map(|width| " ".repeat(width))
        }
        _ => Err(refuse("indent of tojson must be a number or a string")),
    }
}

fn pair(state: &State, value: &Value) -> Result<[String; 2], Error> {
    let wrong = || refuse("separators of tojson must be two strings");
    let mut parts = Vec::new();
    for part in value.try_iter()?.checked() {
        let part = part?;
        let text = part.as_str().filter(|_| parts.len() < 2).ok_or_else(wrong)?;
        pay_bytes(state, text.len())?;
        parts.push(text.to_owned());
    }
    parts.try_into().map_err(|_| wrong())
}

struct Json<'s, 't, 'e> {
    text: Paid<'s, 't, 'e>,
    ascii: bool,
    indent: Option<String>,
    /// Between items, and between a key and its value.
    separators: [String; 2],
    sort: bool,
}

impl Json<'_, '_, '_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        check_depth(depth)?;
        self.text.state.consume_fuel(1)?;
        match value.kind() {
            ValueKind::None => self.text.push_str("null")?,
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" })?,
            ValueKind::Number => self.text.push_str(&number(value))?,
            ValueKind::String => self.quote(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
                self.write_all(['[', ']'], depth, items, |json, item| json.write(&item, depth + 1))?;
            }
            ValueKind::Map => {
                let pairs = self.pairs(value)?;
                self.write_all(['{', '}'], depth, pairs, |json, (key, value)| {
                    json.quote(&key)?;
                    json.text.push_str(&json.separators[1])?;
                    json.write(&value, depth + 1)
                })?;
            }
            other => return Err(refuse(format!("a value of the kind {other} is not JSON serializable"))),
        }
        Ok(())
    }

    fn write_all<T>(
        &mut self,
        [open, close]: [char; 2],
        depth: usize,
        all: Vec<T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.text.push([open])?;
        let is_empty = all.is_empty();
        for (index, one) in all.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(&self.separators[0])?;
            }
            self.new_line(depth + 1)?;
            write(self, one)?;
        }
        if !is_empty {
            self.new_line(depth)?;
        }
        self.text.push([close])
    }

    fn new_line(&mut self, depth: usize) -> Result<(), Error> {
        let Some(indent) = &self.indent else { return Ok(()) };
        self.text.push(['\n'])?;
        (0..depth).try_for_each(|_| self.text.push_str(indent))
    }

    /// Keys, as texts, and values.
    fn pairs(&self, map: &Value) -> Result<Vec<(String, Value)>, Error> {
        let mut keys = map.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
        if self.sort {
            let same = |kind| keys.iter().all(|key| key.kind() == kind);
            if !same(ValueKind::String) && !same(ValueKind::Number) {
                return Err(refuse("keys of several kinds cannot be sorted"));
            }
            keys.sort();
        }
        let text = |key: &Value| match key.kind() {
            ValueKind::String => {
                let key = key.as_str().unwrap_or_default();
                pay_bytes(self.text.state, key.len()).map(|()| key.to_owned())
            }
            ValueKind::Number => Ok(number(key)),
            ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
            ValueKind::None => Ok("null".to_owned()),
            other => Err(refuse(format!("a key of the kind {other} is not JSON serializable"))),
        };
        keys.iter().map(|key| Ok((text(key)?, map.get_item(key)?))).collect()
    }

    fn quote(&mut self, text: &str) -> Result<(), Error> {
        self.text.push(['"'])?;
        for c in text.chars() {
            match c {
                '"' | '\\' => self.text.push(['\\', c])?,
                '\n' => self.text.push(['\\', 'n'])?,
                '\r' => self.text.push(['\\', 'r'])?,
                '\t' => self.text.push(['\\', 't'])?,
                '\u{8}' => self.text.push(['\\', 'b'])?,
                '\u{c}' => self.text.push(['\\', 'f'])?,
                c if c < ' ' || (self.ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.text.push(format!("\\u{unit:04x}").chars())?;
                    }
                }
                c => self.text.push([c])?,
            }
        }
        self.text.push(['"'])
    }
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match float(value).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        finite => finite.into(),
    }
}
