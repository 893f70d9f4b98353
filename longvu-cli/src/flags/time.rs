//! Times as people write them: seconds, or `[HH:]MM:SS[.s]`.

/// Reads `90`, `1.5`, `1:30`, `00:01:30.25` as seconds.
///
/// # Errors
/// Says what is accepted.
pub fn parse(text: &str) -> Result<f64, String> {
    seconds(text.trim()).ok_or_else(|| "write seconds (90 or 1.5) or [HH:]MM:SS[.s] (1:30)".to_owned())
}

fn seconds(text: &str) -> Option<f64> {
    let (clock, last) = match text.rsplit_once(':') {
        Some((clock, last)) => (Some(clock), last),
        None => (None, text),
    };
    let last = plain_number(last)?;
    let Some(clock) = clock else { return Some(last) };
    let parts = clock.split(':').map(whole_number).collect::<Option<Vec<u32>>>()?;
    let whole = match parts[..] {
        [minutes] => f64::from(minutes) * 60.0,
        [hours, minutes] if minutes < 60 => f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0,
        _ => return None,
    };
    (last < 60.0).then_some(whole + last)
}

/// Digits with at most one point; neither signs nor exponents nor `inf`.
pub fn plain_number(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.contains(|c: char| c.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|seconds: &f64| seconds.is_finite())
}

fn whole_number(text: &str) -> Option<u32> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Seconds as a clock shows them, to the hundredth: `1:02:03.25`, `0:07.50`.
pub fn clock(seconds: f64) -> String {
    let hundredths = (seconds * 100.0).round().max(0.0);
    let (minutes, rest) = ((hundredths / 6000.0).floor(), (hundredths % 6000.0) / 100.0);
    let (hours, minutes) = ((minutes / 60.0).floor(), minutes % 60.0);
    match hours > 0.0 {
        true => format!("{hours}:{minutes:02}:{rest:05.2}"),
        false => format!("{minutes}:{rest:05.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_clocks_are_read() {
        for (text, expected) in [
            ("0", 0.0),
            ("90", 90.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("1:30", 90.0),
            ("90:00", 5400.0),
            ("1:02:03.25", 3723.25),
            (" 00:00:07 ", 7.0),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-1", "1e3", "inf", "nan", "1:60", "1:60:00", "1:2:3:4", ":30", "1.5:30", "x", ".", "1:"] {
            assert!(parse(text).unwrap_err().contains("MM:SS"), "{text}");
        }
    }

    #[test]
    fn clocks_are_written() {
        for (seconds, expected) in [(0.0, "0:00.00"), (7.5, "0:07.50"), (59.999, "1:00.00"), (3723.25, "1:02:03.25")] {
            assert_eq!(clock(seconds), expected);
        }
    }
}
