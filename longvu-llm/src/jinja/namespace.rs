//! Jinja's `namespace`: the one value that a template can change.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{
    Error, State, Value,
    value::{Enumerator, Object},
};

/// Names and values, in the order of their first assignment.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    values: Mutex<Vec<(Arc<str>, Value)>>,
}

impl Namespace {
    /// Sets a value, which may not be a view of others that can change.
    pub fn set(&self, state: &State, name: &str, value: Value) -> Result<(), Error> {
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
