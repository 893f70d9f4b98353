//! The engine's filters that make more than they are given, paid for before they do, and its tests of texts.

use minijinja::{
    Environment, Error, State, Value, filters as engine,
    value::{Kwargs, Rest, StringInput, ValueOrKwargs, from_args},
};

use super::{
    arguments::Arguments,
    filters::attribute_of,
    operators::add,
    text::{pay_bytes, pay_list, refuse, repr, text_of},
    words::cased_bytes,
};

/// Bytes that a character has at most once it is escaped for HTML.
const ESCAPED_BYTES: usize = 6;

/// How much longer the engine's `pprint` may be than `repr`: each item has a line of its own, which is indented.
const PRETTY_BYTES: usize = 128;

/// Makes them known.
pub(super) fn add_to(environment: &mut Environment) {
    // Not Jinja's.
    environment.remove_test("startingwith");
    environment.remove_test("endingwith");
    environment.add_filter("upper", |state: &State, value: &Value| cased(state, value, engine::upper));
    environment.add_filter("lower", |state: &State, value: &Value| cased(state, value, engine::lower));
    environment.add_filter("capitalize", |state: &State, value: &Value| cased(state, value, engine::capitalize));
    environment.add_filter("title", |state: &State, value: &Value| {
        cased(state, value, |text| Value::from(engine::title(text.as_str().into())))
    });
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("safe", |state: &State, value: &Value| {
        let text = text_of(state, value)?;
        pay_bytes(state, text.len()).map(|()| engine::safe(text.into_owned()))
    });
    environment.add_filter("pprint", |state: &State, value: &Value| {
        let bytes = repr(state, value)?.len();
        pay_bytes(state, bytes.saturating_mul(PRETTY_BYTES)).map(|()| engine::pprint(value))
    });
    environment.add_filter("indent", indent);
    environment.add_filter("list", |state: &State, value: &Value| {
        pay_characters(state, value)?;
        engine::list(state, value.clone())
    });
    environment.add_filter("batch", |state: &State, value: &Value, count: usize, fill: Option<Value>| {
        pay_characters(state, value)?;
        pay_list(state, count)?;
        engine::batch(state, value.clone(), count, fill)
    });
    environment.add_filter("slice", |state: &State, value: &Value, count: usize, fill: Option<Value>| {
        pay_characters(state, value)?;
        pay_list(state, count)?;
        engine::slice(state, value.clone(), count, fill)
    });
    environment.add_filter("sum", sum);
    for (name, is_upper) in [("upper", true), ("lower", false)] {
        environment.add_test(name, move |state: &State, value: &Value| -> Result<bool, Error> {
            let text = text_of(state, value)?;
            let (mut upper, mut lower) = (false, false);
            text.chars().for_each(|c| (upper, lower) = (upper || c.is_uppercase(), lower || c.is_lowercase()));
            Ok(if is_upper { upper && !lower } else { lower && !upper })
        });
    }
}

/// A value as text; one that is text stays what it is.
fn as_text(state: &State, value: &Value) -> Result<Value, Error> {
    if value.as_str().is_some() { Ok(value.clone()) } else { text_of(state, value).map(|text| Value::from(&*text)) }
}

fn cased(state: &State, value: &Value, change: fn(StringInput) -> Value) -> Result<Value, Error> {
    let text = as_text(state, value)?;
    pay_bytes(state, text.as_str().map_or(0, cased_bytes))?;
    StringInput::new(state, &text).map(change)
}

fn escape(state: &mut State, value: &Value) -> Result<Value, Error> {
    let text = as_text(state, value)?;
    pay_bytes(state, text.as_str().map_or(0, str::len).saturating_mul(ESCAPED_BYTES))?;
    engine::escape(state, &text)
}

fn indent(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = Arguments::bind("indent", ["width", "first", "blank"], &args.into_values())?;
    let text = as_text(state, value)?;
    let width = usize::try_from(args.integer(0)?.unwrap_or(4).max(0)).unwrap_or(usize::MAX);
    let lines = text.as_str().map_or(0, |text| text.matches('\n').count() + 1);
    pay_bytes(state, lines.saturating_mul(width).saturating_add(text.as_str().map_or(0, str::len)))?;
    let (first, blank) = (Some(args.is_true(1)), Some(args.is_true(2)));
    let named = from_args::<(Kwargs,)>(&[])?.0;
    engine::indent(StringInput::new(state, &text)?, Some(width), first, blank, named)
}

/// Pays for the items of a list of characters, where a text is to become one.
fn pay_characters(state: &State, value: &Value) -> Result<(), Error> {
    value.as_str().map_or(Ok(()), |text| pay_list(state, text.chars().count()))
}

fn sum(state: &State, value: &Value, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = Arguments::bind("sum", ["attribute", "start"], &args.into_values())?;
    let start = args.get(1).cloned().unwrap_or_else(|| Value::from(0));
    if start.as_str().is_some() {
        return Err(refuse("sum adds no texts; join them"));
    }
    let attribute = args.get(0).map(|attribute| text_of(state, attribute)).transpose()?;
    value.try_iter()?.checked().try_fold(start, |sum, item| {
        state.consume_fuel(1)?;
        let item = match &attribute {
            Some(path) => attribute_of(item?, path)?,
            None => item?,
        };
        add(state, &sum, &item)
    })
}
