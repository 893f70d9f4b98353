//! Python's methods of strings, lists and mappings.

use minijinja::{Error, ErrorKind, State, Value, value::ValueKind};
use minijinja_contrib::pycompat;

use super::{
    arguments::Arguments,
    braces,
    printf::size,
    text::{Paid, pay_bytes, pay_list, pay_to_compare, refuse},
    words,
};
use crate::limits::VALUE_ITEMS;

/// Calls a method that the engine does not know.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            // Every method reads its text, and those that make more than a copy of it pay for that.
            pay_bytes(state, text.len())?;
            match string(state, text, method, args) {
                Some(result) => result,
                None => pycompat::unknown_method_callback(state, value, method, args),
            }
        }
        ValueKind::Seq if method == "index" => {
            pay_to_compare(state, [value])?;
            index_of(value, args)
        }
        ValueKind::Seq if method == "count" => {
            pay_to_compare(state, [value])?;
            pycompat::unknown_method_callback(state, value, method, args)
        }
        ValueKind::Seq | ValueKind::Map if method == "copy" && args.is_empty() => Ok(value.clone()),
        ValueKind::Map if method == "get" => {
            let args = Arguments::bind("get", ["key", "default"], args)?;
            let key = args.get(0).cloned().unwrap_or_default();
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { args.get(1).cloned().unwrap_or(Value::from(())) } else { found })
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn index_of(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let [wanted] = args else { return Err(Error::from(ErrorKind::MissingArgument)) };
    for (index, item) in list.try_iter()?.checked().enumerate() {
        if item? == *wanted {
            return Ok(Value::from(index));
        }
    }
    Err(refuse("the value is not in the list"))
}

/// The methods of strings whose Python meaning differs from what the engine's companion gives, or is absent there.
fn string(state: &State, text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "strip" | "lstrip" | "rstrip" => strip(text, method, args),
        "split" | "rsplit" => split(state, text, method == "rsplit", args),
        "splitlines" => split_lines(state, text, args),
        "partition" | "rpartition" => partition(text, method == "rpartition", args),
        "removeprefix" | "removesuffix" => remove(text, method == "removesuffix", args),
        "replace" => replace(state, text, args),
        "startswith" | "endswith" => starts(state, text, method == "endswith", args),
        "find" | "rfind" | "index" | "rindex" | "count" => find(text, method, args),
        "center" | "ljust" | "rjust" => justify(state, text, method, args),
        "zfill" => zero_fill(state, text, args),
        "expandtabs" => expand_tabs(state, text, args),
        "join" => join(state, text, args),
        "format" => braces::format(state, text, args),
        "upper" | "lower" | "title" | "capitalize" | "swapcase" | "casefold" => {
            words::change_case(state, text, method, args)
        }
        "isspace" | "istitle" | "isdecimal" | "isdigit" | "isnumeric" | "isidentifier" | "isprintable" => {
            words::is_of_kind(text, method, args)
        }
        _ => return None,
    })
}

fn strip(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("strip", ["chars"], args)?;
    Ok(Value::from(words::strip(text, args.optional_text(0)?, [method != "rstrip", method != "lstrip"])))
}

fn split(state: &State, text: &str, from_the_right: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("split", ["sep", "maxsplit"], args)?;
    // A negative number means all.
    let most = usize::try_from(args.integer(1)?.unwrap_or(-1)).map_or(usize::MAX, |most| most.saturating_add(1));
    // One part more than a list may have is enough to refuse it.
    let most = most.min(VALUE_ITEMS + 1);
    let parts: Vec<&str> = match (args.optional_text(0)?, from_the_right) {
        (Some(""), _) => return Err(refuse("empty separator")),
        (Some(separator), false) => text.splitn(most, separator).collect(),
        (Some(separator), true) => {
            let mut parts: Vec<&str> = text.rsplitn(most, separator).collect();
            parts.reverse();
            parts
        }
        (None, false) => words::split(text, most),
        (None, true) => words::split_from_the_right(text, most),
    };
    pay_list(state, parts.len())?;
    Ok(parts.into_iter().map(Value::from).collect())
}

fn split_lines(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("splitlines", ["keepends"], args)?;
    let keep = args.is_true(0);
    let mut lines = Vec::new();
    let mut rest = text;
    let ends =
        |c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    while let Some(end) = rest.find(ends) {
        pay_list(state, lines.len() + 1)?;
        let line_end =
            if rest[end..].starts_with("\r\n") { 2 } else { rest[end..].chars().next().map_or(0, char::len_utf8) };
        lines.push(Value::from(&rest[..if keep { end + line_end } else { end }]));
        rest = &rest[end + line_end..];
    }
    if !rest.is_empty() {
        lines.push(Value::from(rest));
    }
    Ok(Value::from(lines))
}

fn partition(text: &str, from_the_right: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("partition", ["sep"], args)?;
    let separator = args.text(0)?;
    if separator.is_empty() {
        return Err(refuse("empty separator"));
    }
    let found = if from_the_right { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if from_the_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(minijinja::value::Tuple::from(parts.map(Value::from).to_vec())))
}

fn remove(text: &str, from_the_end: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("removeprefix", ["affix"], args)?;
    let affix = args.text(0)?;
    let rest = if from_the_end { text.strip_suffix(affix) } else { text.strip_prefix(affix) };
    Ok(Value::from(rest.unwrap_or(text)))
}

fn replace(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("replace", ["old", "new", "count"], args)?;
    let (old, new) = (args.text(0)?, args.text(1)?);
    let most = usize::try_from(args.integer(2)?.unwrap_or(-1)).unwrap_or(usize::MAX);
    let places = if old.is_empty() { text.chars().count() + 1 } else { text.matches(old).count() };
    pay_bytes(state, places.min(most).saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(Value::from(text.replacen(old, new, most)))
}

/// The part of a text between two places counted in characters, as slices count them; `None` where it would start
/// after it ends.
fn part(text: &str, start: Option<i64>, end: Option<i64>) -> Option<(usize, &str)> {
    let length = text.chars().count() as i64;
    let place = |place: i64| if place < 0 { (place + length).max(0) } else { place };
    let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(length)).min(length));
    if start > end {
        return None;
    }
    let byte = |place: i64| text.char_indices().nth(place as usize).map_or(text.len(), |(byte, _)| byte);
    Some((start as usize, &text[byte(start)..byte(end)]))
}

fn starts(state: &State, text: &str, at_the_end: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("startswith", ["affix", "start", "end"], args)?;
    let part = part(text, args.integer(1)?, args.integer(2)?);
    let fits = |affix: &str| match (part, at_the_end) {
        (None, _) => false,
        (Some((_, part)), false) => part.starts_with(affix),
        (Some((_, part)), true) => part.ends_with(affix),
    };
    let affixes = args.get(0).ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    if let Some(affix) = affixes.as_str() {
        return Ok(Value::from(fits(affix)));
    }
    if !affixes.is_tuple() {
        return Err(refuse(format!("startswith and endswith want a string or a tuple, not {}", affixes.kind())));
    }
    for affix in affixes.try_iter()?.checked() {
        let affix = affix?;
        pay_bytes(state, affix.as_str().map_or(0, str::len))?;
        if fits(affix.as_str().ok_or_else(|| refuse("startswith and endswith want strings in their tuple"))?) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn find(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("find", ["sub", "start", "end"], args)?;
    let wanted = args.text(0)?;
    let Some((start, part)) = part(text, args.integer(1)?, args.integer(2)?) else {
        return if method.ends_with("index") {
            Err(refuse("substring not found"))
        } else {
            Ok(Value::from(if method == "count" { 0 } else { -1 }))
        };
    };
    if method == "count" {
        return Ok(Value::from(part.matches(wanted).count()));
    }
    let found = if method.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
    match found {
        Some(byte) => Ok(Value::from(start + part[..byte].chars().count())),
        None if method.ends_with("index") => Err(refuse("substring not found")),
        None => Ok(Value::from(-1)),
    }
}

fn justify(state: &State, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("center", ["width", "fillchar"], args)?;
    let width = args.integer(0)?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    let fill = args.optional_text(1)?.unwrap_or(" ");
    if fill.chars().count() != 1 {
        return Err(refuse("the fill character must be exactly one character long"));
    }
    let missing = size(width.max(0))?.saturating_sub(text.chars().count());
    pay_bytes(state, missing.saturating_mul(fill.len()))?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // Python puts the odd one on the left where the width is odd.
        _ => missing / 2 + (missing & width as usize & 1),
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left))))
}

fn zero_fill(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("zfill", ["width"], args)?;
    let width = args.integer(0)?.ok_or_else(|| Error::from(ErrorKind::MissingArgument))?;
    let missing = size(width.max(0))?.saturating_sub(text.chars().count());
    pay_bytes(state, missing)?;
    let zeros = "0".repeat(missing);
    let sign = if text.starts_with(['+', '-']) { 1 } else { 0 };
    Ok(Value::from(format!("{}{zeros}{}", &text[..sign], &text[sign..])))
}

fn expand_tabs(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("expandtabs", ["tabsize"], args)?;
    let width = size(args.integer(0)?.unwrap_or(8).max(0))?;
    let (mut expanded, mut column) = (Paid::new(state), 0);
    for c in text.chars() {
        match c {
            '\t' if width > 0 => {
                let spaces = width - column % width;
                expanded.push(std::iter::repeat_n(' ', spaces))?;
                column += spaces;
            }
            '\t' => {}
            '\n' | '\r' => {
                expanded.push([c])?;
                column = 0;
            }
            c => {
                expanded.push([c])?;
                column += 1;
            }
        }
    }
    expanded.finish().map(Value::from)
}

fn join(state: &State, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let [items] = args else { return Err(Error::from(ErrorKind::MissingArgument)) };
    let mut joined = Paid::new(state);
    for (index, item) in items.try_iter()?.checked().enumerate() {
        let item = item?;
        let text = item.as_str().ok_or_else(|| refuse(format!("join wants strings, not {}", item.kind())))?;
        if index > 0 {
            joined.push_str(separator)?;
        }
        joined.push_str(text)?;
        state.consume_fuel(1)?;
    }
    joined.finish().map(Value::from)
}
