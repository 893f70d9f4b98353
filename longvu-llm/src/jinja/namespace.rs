//! Jinja's `namespace`: the one value that a template can change.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, Tuple, ValueKind};
use minijinja::{Error, State, Value};

use super::text::{check_size, refuse};

/// Names and values, in the order of their first assignment.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    values: Mutex<Vec<(Arc<str>, Value)>>,
}

impl Namespace {
    /// Sets a value. A value that could come to hold this namespace, and so itself, is refused.
    pub fn assign(&self, state: &State, name: &str, value: Value) -> Result<(), Error> {
        let value = settled(state, value)?;
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        match values.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, slot)) => *slot = value,
            None => {
                state.consume_fuel(values.len() as u64)?;
                values.push((name.into(), value));
            }
        }
        Ok(())
    }
}

/// The value with views of other values, which may change, replaced by what they show now.
fn settled(state: &State, value: Value) -> Result<Value, Error> {
    check_size(state, &value)?;
    copy(value)
}

fn copy(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => {
            let keys = value.try_iter()?.checked();
            let pairs = keys.map(|key| key.and_then(|key| Ok((copy(key.clone())?, copy(value.get_item(&key)?)?))));
            pairs.collect::<Result<Vec<_>, Error>>().map(Value::from_pairs)
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked().map(|item| copy(item?)).collect::<Result<Vec<Value>, Error>>()?;
            Ok(if value.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) })
        }
        ValueKind::Plain => Err(refuse("only texts, numbers, lists and mappings may be put into a namespace")),
        _ => Ok(value),
    }
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        Enumerator::Values(values.iter().map(|(name, _)| Value::from(name.clone())).collect())
    }
}
