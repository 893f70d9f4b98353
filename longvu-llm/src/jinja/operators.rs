//! Python's operators, with bounds on what they make.

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs},
};

use super::{
    assign::{assign, namespace},
    printf,
    slices::slice,
    text::{check_size, pay_bytes, pay_for, pay_to_compare, refuse, text_of},
    values::{Number, is_sequence, items, sequence},
};
use crate::limits::{STEPS_TO_LOOK, VALUE_ITEMS};

// Names of functions that no template can write.
pub(super) const ADD: &str = "+";
pub(super) const MULTIPLY: &str = "*";
pub(super) const REMAINDER: &str = "%";
pub(super) const JOIN: &str = "~";
pub(super) const LIST: &str = "[]";
pub(super) const TUPLE: &str = "()";
pub(super) const MAP: &str = "{}";
pub(super) const ASSIGN: &str = ".=";
pub(super) const EQUAL: &str = "==";
pub(super) const UNEQUAL: &str = "!=";
pub(super) const LESS: &str = "<";
pub(super) const LESS_OR_EQUAL: &str = "<=";
pub(super) const GREATER: &str = ">";
pub(super) const GREATER_OR_EQUAL: &str = ">=";
pub(super) const WITHIN: &str = "in?";
pub(super) const FILTER: &str = "|";
pub(super) const TEST: &str = "is?";
pub(super) const SLICE: &str = "[:]";
pub(super) const PAY: &str = "$";
pub(super) const PAY_BYTES: &str = "$64";

/// Filters that compare the items of their value, or may by way of another filter or a test.
const COMPARING: [&str; 11] =
    ["sort", "unique", "min", "max", "groupby", "dictsort", "map", "select", "reject", "selectattr", "rejectattr"];

/// Makes the operators known, and the functions that make values.
pub(super) fn add_to(environment: &mut Environment) {
    environment.add_function(ADD, add);
    environment.add_function(MULTIPLY, multiply);
    environment.add_function(REMAINDER, remainder);
    environment.add_function(JOIN, |state: &State, left: &Value, right: &Value| -> Result<Value, Error> {
        let (left, right) = (text_of(state, left)?, text_of(state, right)?);
        joined(state, &left, &right)
    });
    environment.add_function(LIST, |state: &State, items: Rest<Value>| checked(state, Value::from(items.to_vec())));
    environment.add_function(TUPLE, |state: &State, items: Rest<Value>| {
        checked(state, Value::from(Tuple::from(items.to_vec())))
    });
    environment.add_function(MAP, map);
    environment.add_function(ASSIGN, assign);
    for (name, compare) in [
        (EQUAL, (|a, b| a == b) as fn(&Value, &Value) -> bool),
        (UNEQUAL, |a, b| a != b),
        (LESS, |a, b| a < b),
        (LESS_OR_EQUAL, |a, b| a <= b),
        (GREATER, |a, b| a > b),
        (GREATER_OR_EQUAL, |a, b| a >= b),
    ] {
        let any = name == EQUAL || name == UNEQUAL;
        environment.add_function(name, move |state: &State, left: &Value, right: &Value| {
            pay_to_compare(state, [left, right])?;
            if any || have_order(left, right) { Ok(compare(left, right)) } else { Err(impossible(name, left, right)) }
        });
    }
    environment.add_function(WITHIN, within);
    environment.add_function(SLICE, slice);
    environment.add_function(PAY_BYTES, |state: &State, bytes: usize| pay_bytes(state, bytes).map(|()| true));
    environment.add_function(FILTER, filter);
    environment.add_function(TEST, test);
    environment.add_function(PAY, |state: &State| state.consume_fuel(STEPS_TO_LOOK).map(|()| true));
    environment.add_function("dict", |state: &State, args: Rest<ValueOrKwargs>| {
        checked(state, Value::from_pairs(pairs(args)?))
    });
    environment.add_function("namespace", |state: &State, args: Rest<ValueOrKwargs>| -> Result<Value, Error> {
        namespace(state, pairs(args)?)
    });
}

fn checked(state: &State, value: Value) -> Result<Value, Error> {
    check_size(state, &value)?;
    Ok(value)
}

/// Whether one of two values can be less than the other.
fn have_order(left: &Value, right: &Value) -> bool {
    let both = |kind: fn(&Value) -> bool| kind(left) && kind(right);
    both(|value| Number::of(value).is_some())
        || both(|value| value.as_str().is_some())
        || (both(is_sequence) && left.is_tuple() == right.is_tuple())
}

/// `item in container`.
fn within(state: &State, item: &Value, container: &Value) -> Result<bool, Error> {
    pay_to_compare(state, [item, container])?;
    match container.kind() {
        ValueKind::String if item.as_str().is_none() => Err(impossible("in", item, container)),
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Plain => {
            Err(impossible("in", item, container))
        }
        _ => minijinja::tests::is_in(state, item, container),
    }
}

/// `args|name`, with the name last.
fn filter(state: &mut State, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut args = args.into_values();
    let name = args.pop().unwrap_or_default();
    let name = name.as_str().unwrap_or_default();
    if COMPARING.contains(&name) {
        pay_to_compare(state, &args)?
    } else {
        pay_for(state, &args)?
    }
    state.apply_filter(name, &args).map_err(|error| known(error, ErrorKind::UnknownFilter, "filter", name))
}

/// `args is name`, with the name last.
fn test(state: &mut State, args: Rest<ValueOrKwargs>) -> Result<bool, Error> {
    let mut args = args.into_values();
    let name = args.pop().unwrap_or_default();
    let name = name.as_str().unwrap_or_default();
    // What has one argument compares it with nothing.
    if args.len() > 1 {
        pay_to_compare(state, &args)?
    } else {
        pay_for(state, &args)?
    }
    state.perform_test(name, &args).map_err(|error| known(error, ErrorKind::UnknownTest, "test", name))
}

/// An error of a filter or test; one that does not exist is named.
fn known(error: Error, unknown: ErrorKind, what: &str, name: &str) -> Error {
    if error.kind() == unknown && error.detail().is_none() {
        return Error::new(unknown, format!("{what} {name} is unknown"));
    }
    error
}

fn impossible(operator: &str, left: &Value, right: &Value) -> Error {
    if left.is_undefined() || right.is_undefined() {
        return Error::new(ErrorKind::UndefinedError, format!("an undefined value is not allowed with {operator}"));
    }
    refuse(format!("{operator} is not possible between {} and {}", left.kind(), right.kind()))
}

fn joined(state: &State, left: &str, right: &str) -> Result<Value, Error> {
    pay_bytes(state, left.len().saturating_add(right.len()))?;
    Ok(Value::from([left, right].concat()))
}

pub(super) fn add(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return joined(state, left, right);
    }
    match (Number::of(left), Number::of(right)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => whole(a.checked_add(b)),
        (Some(a), Some(b)) => Ok(Value::from(a.float() + b.float())),
        _ if is_sequence(left) && is_sequence(right) && left.is_tuple() == right.is_tuple() => {
            let mut all = items(state, left)?;
            all.extend(items(state, right)?);
            checked(state, sequence(all, left))
        }
        _ => Err(impossible("+", left, right)),
    }
}

fn multiply(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    match (Number::of(left), Number::of(right)) {
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => whole(a.checked_mul(b)),
        (Some(a), Some(b)) => Ok(Value::from(a.float() * b.float())),
        (None, Some(Number::Whole(count))) => repeat(state, left, count).ok_or_else(|| impossible("*", left, right))?,
        (Some(Number::Whole(count)), None) => {
            repeat(state, right, count).ok_or_else(|| impossible("*", left, right))?
        }
        _ => Err(impossible("*", left, right)),
    }
}

/// A text or sequence several times, `None` where the value is neither.
fn repeat(state: &State, value: &Value, count: i128) -> Option<Result<Value, Error>> {
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if let Some(text) = value.as_str() {
        let bytes = text.len().saturating_mul(count);
        return Some(
            pay_bytes(state, bytes).map(|()| Value::from(text.repeat(if text.is_empty() { 0 } else { count }))),
        );
    }
    is_sequence(value).then(|| {
        let items = items(state, value)?;
        let all = items.len().saturating_mul(count);
        if all > VALUE_ITEMS {
            return Err(refuse(format!("a list would have {all} items, more than the {VALUE_ITEMS} allowed")));
        }
        checked(state, sequence(items.iter().cycle().take(all).cloned().collect(), value))
    })
}

fn remainder(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        return printf::format(state, format, right).map(Value::from);
    }
    let zero = || refuse("% by zero");
    match (Number::of(left), Number::of(right)) {
        (Some(Number::Whole(_)), Some(Number::Whole(0))) => Err(zero()),
        (Some(Number::Whole(a)), Some(Number::Whole(b))) => {
            // The sign is the divisor's.
            let rest = a.checked_rem(b).unwrap_or_default();
            whole(if rest != 0 && (rest < 0) != (b < 0) { rest.checked_add(b) } else { Some(rest) })
        }
        (Some(a), Some(b)) => {
            let (a, b) = (a.float(), b.float());
            if b == 0.0 {
                return Err(zero());
            }
            let rest = a % b;
            let rest = if rest == 0.0 { 0.0_f64.copysign(b) } else { rest };
            Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }))
        }
        _ => Err(impossible("%", left, right)),
    }
}

fn whole(number: Option<i128>) -> Result<Value, Error> {
    number.map(Value::from).ok_or_else(|| refuse("a whole number has become too large"))
}

fn map(state: &State, parts: Rest<Value>) -> Result<Value, Error> {
    let (pairs, _) = parts.as_chunks::<2>();
    // Before the keys are hashed.
    pairs.iter().try_for_each(|[key, _]| check_size(state, key))?;
    checked(state, Value::from_pairs(pairs.iter().map(|[key, value]| (key.clone(), value.clone()))))
}

/// Names and values of `dict` and `namespace`: those of a mapping or pairs, then named ones.
fn pairs(args: Rest<ValueOrKwargs>) -> Result<Vec<(Value, Value)>, Error> {
    let args = args.into_values();
    let (positional, named) = minijinja::value::from_args::<(&[Value], Kwargs)>(&args)?;
    let mut pairs = Vec::new();
    match positional {
        [] => {}
        [mapping] if mapping.kind() == ValueKind::Map => {
            for key in mapping.try_iter()?.checked() {
                let key = key?;
                pairs.push((key.clone(), mapping.get_item(&key)?));
            }
        }
        [list] => {
            for pair in list.try_iter()?.checked() {
                let pair = pair?;
                let parts: Vec<Value> = pair.try_iter()?.checked().collect::<Result<_, _>>()?;
                let [key, value] = <[Value; 2]>::try_from(parts).map_err(|_| refuse("pairs must have two items"))?;
                pairs.push((key, value));
            }
        }
        _ => return Err(Error::from(ErrorKind::TooManyArguments)),
    }
    for name in named.args() {
        pairs.push((Value::from(name), named.peek(name)?));
    }
    Ok(pairs)
}
