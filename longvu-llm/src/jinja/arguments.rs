//! Arguments bound to parameters as Python binds them.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, from_args},
};

/// The arguments of a call by the place of their parameter, `None` where one was left out.
pub(super) struct Arguments<const N: usize> {
    callee: &'static str,
    names: [&'static str; N],
    values: [Option<Value>; N],
}

impl<const N: usize> Arguments<N> {
    /// Binds `args`, of which the last may hold named ones; all of `names` can be named.
    pub fn bind(callee: &'static str, names: [&'static str; N], args: &[Value]) -> Result<Self, Error> {
        let (positional, named) = from_args::<(&[Value], Kwargs)>(args)?;
        if positional.len() > N {
            let reason = format!("{callee} takes {N} arguments at most, not {}", positional.len());
            return Err(Error::new(ErrorKind::TooManyArguments, reason));
        }
        let mut values = std::array::from_fn(|place| positional.get(place).cloned());
        for (name, value) in names.iter().zip(&mut values) {
            if named.has(name) {
                *value = Some(named.get(name)?);
            }
        }
        named.assert_all_used()?;
        Ok(Self { callee, names, values })
    }

    /// The value of a parameter, or `None` for one left out and for Python's `None`.
    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values.get(place)?.as_ref().filter(|value| !value.is_none())
    }

    /// The text of a parameter that needs one.
    pub fn text(&self, place: usize) -> Result<&str, Error> {
        self.optional_text(place)?.ok_or_else(|| self.wrong(place, "a string", "nothing"))
    }

    /// The text of a parameter that may be left out.
    pub fn optional_text(&self, place: usize) -> Result<Option<&str>, Error> {
        let wrong = |value: &Value| self.wrong(place, "a string", &value.kind().to_string());
        self.get(place).map(|value| value.as_str().ok_or_else(|| wrong(value))).transpose()
    }

    /// The whole number of a parameter that may be left out.
    pub fn integer(&self, place: usize) -> Result<Option<i64>, Error> {
        let wrong = |value: &Value| self.wrong(place, "a whole number", &value.kind().to_string());
        self.get(place).map(|value| i64::try_from(value.clone()).map_err(|_| wrong(value))).transpose()
    }

    /// Whether a parameter is given and true.
    pub fn is_true(&self, place: usize) -> bool {
        self.get(place).is_some_and(Value::is_true)
    }

    fn wrong(&self, place: usize, expected: &str, found: &str) -> Error {
        let name = self.names.get(place).copied().unwrap_or_default();
        let reason = format!("{} of {} must be {expected}, not {found}", name, self.callee);
        Error::new(ErrorKind::InvalidOperation, reason)
    }
}
