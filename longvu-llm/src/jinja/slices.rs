//! `value[start:stop:step]`.

use minijinja::{Error, State, Value};

use super::{
    text::{pay_bytes, refuse},
    values::{is_sequence, items, sequence},
};

/// Python's slices, and an empty list of what is nothing.
pub(super) fn slice(state: &State, value: &Value, start: &Value, stop: &Value, step: &Value) -> Result<Value, Error> {
    let step = bound(step)?.unwrap_or(1);
    if step == 0 {
        return Err(refuse("the step of a slice cannot be zero"));
    }
    let (start, stop) = (bound(start)?, bound(stop)?);
    if let Some(text) = value.as_str() {
        pay_bytes(state, text.len())?;
        return Ok(Value::from(cut(text, Places::of(text.chars().count(), start, stop, step))));
    }
    if is_sequence(value) {
        let items = items(state, value)?;
        let Places { first, count, step } = Places::of(items.len(), start, stop, step);
        let place =
            |nth: usize| if step > 0 { first + nth * step.unsigned_abs() } else { first - nth * step.unsigned_abs() };
        return Ok(sequence((0..count).filter_map(|nth| items.get(place(nth)).cloned()).collect(), value));
    }
    if value.is_none() || value.is_undefined() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    Err(refuse(format!("{} has no slices", value.kind())))
}

fn bound(value: &Value) -> Result<Option<i64>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    let wrong = |_| refuse(format!("the bounds of a slice must be whole numbers, not {}", value.kind()));
    i64::try_from(value.clone()).map(Some).map_err(wrong)
}

/// The places that a slice takes.
struct Places {
    first: usize,
    count: usize,
    step: isize,
}

impl Places {
    /// Those of a slice of what has `length` items.
    fn of(length: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Self {
        let length = length as i64;
        // Backwards, the place before the first is a bound too, and the last is where to begin.
        let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let place = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound }.clamp(least, most);
        let (start, stop) = if step > 0 {
            (start.map_or(least, place), stop.map_or(most, place))
        } else {
            (start.map_or(most, place), stop.map_or(least, place))
        };
        let distance = if step > 0 { stop - start } else { start - stop };
        let count = if distance > 0 { (distance as u64).div_ceil(step.unsigned_abs()) } else { 0 };
        let step = isize::try_from(step).unwrap_or(if step > 0 { isize::MAX } else { -isize::MAX });
        Self { first: start.max(0) as usize, count: count as usize, step }
    }
}

fn cut(text: &str, Places { first, count, step }: Places) -> String {
    let stride = step.unsigned_abs();
    if count == 0 {
        return String::new();
    }
    if step > 0 {
        text.chars().skip(first).step_by(stride).take(count).collect()
    } else {
        let last = text.char_indices().nth(first).map_or(text.len(), |(byte, c)| byte + c.len_utf8());
        text[..last].chars().rev().step_by(stride).take(count).collect()
    }
}
