//! Numbers and sequences, as Python tells them from other values.

use minijinja::{
    Error, State, Value,
    value::{Tuple, ValueKind},
};

use super::text::{pay_items, pay_list};
use crate::limits::VALUE_ITEMS;

/// A number as Python computes with it.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Float(f64),
}

impl Number {
    /// The number that a value is; truth values are 0 and 1.
    pub fn of(value: &Value) -> Option<Self> {
        match value.kind() {
            ValueKind::Bool => Some(Self::Whole(value.is_true().into())),
            ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok().map(Self::Whole),
            ValueKind::Number => f64::try_from(value.clone()).ok().map(Self::Float),
            _ => None,
        }
    }

    pub fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

/// The items of a list or tuple. Too many are refused.
pub(super) fn items(state: &State, value: &Value) -> Result<Vec<Value>, Error> {
    pay_items(state, value.len().unwrap_or_default())?;
    let items = value.try_iter()?.checked().take(VALUE_ITEMS + 1).collect::<Result<Vec<_>, Error>>()?;
    pay_list(state, items.len()).map(|()| items)
}

/// A list or tuple, as `like` is one.
pub(super) fn sequence(items: Vec<Value>, like: &Value) -> Value {
    if like.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) }
}

pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}
