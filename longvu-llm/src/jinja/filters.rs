//! Filters and tests of Jinja that the engine lacks, or understands otherwise.

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Rest, ValueKind, ValueOrKwargs},
};

use super::{
    arguments::Arguments,
    json::to_json,
    namespace::Namespace,
    printf::{self, size},
    text::{Paid, beginning, pay_bytes, refuse, text_of},
    values::Number,
    words,
};

/// What the engine has and Jinja has not, or has for pages of HTML: a template that uses them is in error.
const FOREIGN: [&str; 4] = ["zip", "chain", "lines", "split"];

/// Makes them known.
pub(super) fn add_to(environment: &mut Environment) {
    FOREIGN.iter().for_each(|name| environment.remove_filter(name));
    environment.remove_global("debug");
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |state: &State, value: &Value| -> Result<String, Error> {
        let text = text_of(state, value)?;
        pay_bytes(state, text.len())?;
        Ok(text.into_owned())
    });
    environment.add_filter("wordcount", |state: &State, value: &Value| -> Result<usize, Error> {
        Ok(words::count(&text_of(state, value)?))
    });
    environment.add_filter("format", format);
    environment.add_filter("join", join);
    environment.add_filter("center", |state: &State, value: &Value, width: Option<i64>| -> Result<String, Error> {
        let text = text_of(state, value)?;
        let missing = size(width.unwrap_or(80).max(0))?.saturating_sub(text.chars().count());
        let left = missing / 2 + (missing & width.unwrap_or(80) as usize & 1);
        pay_bytes(state, text.len() + missing)?;
        Ok(format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left)))
    });
    environment.add_filter("replace", replace);
    environment.add_filter("trim", trim);
    environment.add_filter("truncate", truncate);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_test("callable", |value: &Value| is_callable(value));
    environment.add_test("iterable", |value: &Value| is_iterable(value));
    environment.add_test("sequence", |value: &Value| is_iterable(value));
    environment.add_test("mapping", |value: &Value| value.kind() == ValueKind::Map && is_iterable(value));
    environment.add_test("odd", |value: &Value| is_odd(value));
    environment.add_test("even", |value: &Value| is_odd(value).map(|odd| !odd));
}

/// Lets a template refuse its messages.
fn raise_exception(state: &State, message: &Value) -> Result<Value, Error> {
    Err(refuse(beginning(&text_of(state, message)?).to_owned()))
}

fn format(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    let named = args.first().filter(|first| args.len() == 1 && first.is_kwargs());
    let values = match named {
        Some(named) => named.clone(),
        None if args.iter().any(Value::is_kwargs) => {
            return Err(refuse("format takes values or named values, not both"));
        }
        None => Value::from(minijinja::value::Tuple::from(args)),
    };
    printf::format(state, &text_of(state, value)?, &values)
}

fn join(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = Arguments::bind("join", ["d", "attribute"], &args.into_values())?;
    let between = args.get(0).map(|text| text_of(state, text)).transpose()?.unwrap_or_default();
    let attribute = args.get(1).map(|attribute| text_of(state, attribute)).transpose()?;
    let mut joined = Paid::new(state);
    for (index, item) in value.try_iter()?.checked().enumerate() {
        let item = match &attribute {
            Some(path) => attribute_of(item?, path)?,
            None => item?,
        };
        state.consume_fuel(1)?;
        if index > 0 {
            joined.push_str(&between)?;
        }
        joined.push_str(&text_of(state, &item)?)?;
    }
    joined.finish()
}

/// What the names and numbers of a path such as `function.name` lead to.
pub(super) fn attribute_of(value: Value, path: &str) -> Result<Value, Error> {
    path.split('.').try_fold(value, |value, part| {
        value.get_item(&part.parse::<i64>().map_or_else(|_| Value::from(part), Value::from))
    })
}

fn replace(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = Arguments::bind("replace", ["old", "new", "count"], &args.into_values())?;
    let text = text_of(state, value)?;
    let missing = || Error::from(ErrorKind::MissingArgument);
    let old = text_of(state, args.get(0).ok_or_else(missing)?)?;
    let new = text_of(state, args.get(1).ok_or_else(missing)?)?;
    let most = usize::try_from(args.integer(2)?.unwrap_or(-1)).unwrap_or(usize::MAX);
    let places = if old.is_empty() { text.chars().count() + 1 } else { text.matches(&*old).count() };
    pay_bytes(state, places.min(most).saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(text.replacen(&*old, &new, most))
}

fn trim(state: &State, value: &Value, chars: Option<&str>) -> Result<String, Error> {
    let text = text_of(state, value)?;
    pay_bytes(state, text.len())?;
    Ok(words::strip(&text, chars, [true, true]).to_owned())
}

fn truncate(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = Arguments::bind("truncate", ["length", "killwords", "end", "leeway"], &args.into_values())?;
    let text = text_of(state, value)?;
    let length = usize::try_from(args.integer(0)?.unwrap_or(255)).unwrap_or_default();
    let leeway = usize::try_from(args.integer(3)?.unwrap_or(5)).unwrap_or_default();
    let end = args.optional_text(2)?.unwrap_or("...");
    let end_length = end.chars().count();
    if length < end_length {
        return Err(refuse(format!("truncate to {length} leaves no room for the end {:?}", beginning(end))));
    }
    pay_bytes(state, text.len().saturating_add(end.len()))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.into_owned());
    }
    let mut kept: String = text.chars().take(length - end_length).collect();
    if !args.is_true(1)
        && let Some(space) = kept.rfind(' ')
    {
        kept.truncate(space);
    }
    Ok(kept + end)
}

/// The whole number that a value or its text is, or else the default, 0 unless given.
fn int(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = Arguments::bind("int", ["default", "base"], &args.into_values())?;
    let base = u32::try_from(args.integer(1)?.unwrap_or(10)).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| refuse("the base of int must be 2 to 36"))?;
    let number = match (value.as_str().map(str::trim), Number::of(value)) {
        (Some(text), _) => {
            let digits = text.replace('_', "");
            let whole = i128::from_str_radix(&digits, base).ok();
            whole.or_else(|| text.parse().ok().and_then(truncated))
        }
        (None, Some(Number::Whole(whole))) => Some(whole),
        (None, Some(Number::Float(float))) => truncated(float),
        (None, None) => None,
    };
    Ok(number.map_or_else(|| args.get(0).cloned().unwrap_or_else(|| Value::from(0)), Value::from))
}

/// A number without its fraction, unless it is beyond whole numbers.
fn truncated(number: f64) -> Option<i128> {
    (number.abs() < 1e30).then_some(number.trunc() as i128)
}

/// The number with a fraction that a value or its text is, or else the default, 0 unless given.
fn float(value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = Arguments::bind("float", ["default"], &args.into_values())?;
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => Number::of(value).map(Number::float),
    };
    Ok(number.map_or_else(|| args.get(0).cloned().unwrap_or_else(|| Value::from(0.0)), Value::from))
}

/// Whether a value can be called: a function, a macro, and in Jinja also an undefined value, which then fails.
fn is_callable(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
}

/// Whether a value has items: an undefined one has none, and Python's mappings are sequences to Jinja as well.
fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Bytes | ValueKind::Seq | ValueKind::Iterable => true,
        ValueKind::Map => value.downcast_object_ref::<Namespace>().is_none(),
        _ => false,
    }
}

fn is_odd(value: &Value) -> Result<bool, Error> {
    match Number::of(value) {
        Some(Number::Whole(number)) => Ok(number % 2 != 0),
        Some(Number::Float(number)) => Ok(number.rem_euclid(2.0) == 1.0),
        None => Err(refuse(format!("only a number is odd or even, and not {}", value.kind()))),
    }
}
