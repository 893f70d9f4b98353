//! `set` on a namespace: the values that one may hold.

use minijinja::{
    Error, State, Value,
    value::{Tuple, ValueKind},
};

use super::{
    namespace::Namespace,
    text::{check_size, refuse},
};

/// A new namespace of these names and values.
pub(super) fn namespace(state: &State, pairs: Vec<(Value, Value)>) -> Result<Value, Error> {
    let namespace = Namespace::default();
    for (name, value) in pairs {
        let name = name.as_str().ok_or_else(|| refuse("names in a namespace must be strings"))?;
        set(state, &namespace, name, value)?;
    }
    Ok(Value::from_object(namespace))
}

/// `set namespace.name = value`.
pub(super) fn assign(state: &State, value: Value, namespace: &Value, name: &str) -> Result<bool, Error> {
    let Some(target) = namespace.downcast_object_ref::<Namespace>() else {
        return Err(refuse(format!("only a namespace can be assigned to, and not {}", namespace.kind())));
    };
    set(state, target, name, value).map(|()| true)
}

/// Sets a value. A value that could come to hold the namespace, and so itself, is refused.
fn set(state: &State, namespace: &Namespace, name: &str, value: Value) -> Result<(), Error> {
    namespace.set(state, name, settled(state, value)?)
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
