//! Amounts as people write them: sizes of memory, lengths of time.

use super::time;

/// The least memory that anything runs in. A smaller number was meant in another unit.
const LEAST: f64 = 1e6;

/// Reads `24GiB`, `24G` (the same), `24GB`, `1.5 TiB`, `512MiB` or plain bytes, a megabyte or more.
///
/// # Errors
/// Says what is accepted.
pub fn memory(text: &str) -> Result<u64, String> {
    let refuse = || "write a size such as 24GiB, 24GB or 512MiB, with its unit".to_owned();
    let (number, unit) = split(text.trim());
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => f64::from(1u32 << 10),
        "m" | "mib" => f64::from(1u32 << 20),
        "g" | "gib" => f64::from(1u32 << 30),
        "t" | "tib" => f64::from(1u32 << 20) * f64::from(1u32 << 20),
        _ => return Err(refuse()),
    };
    let bytes = time::plain_number(number).map(|number| number * unit);
    // Up to 2^53 bytes a float counts each.
    bytes.filter(|bytes| (LEAST..9e15).contains(bytes)).map(|bytes| bytes as u64).ok_or_else(refuse)
}

/// Reads `1h`, `90s`, `10m`, `1h30m`, `1.5h`, or a clock's time such as `1:30:00`, as seconds; `None` for anything else.
pub fn duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    if rest.contains(':') {
        return time::parse(rest).ok().filter(|&seconds| seconds > 0.0);
    }
    let mut seconds = 0.0;
    let mut largest = f64::INFINITY;
    while !rest.is_empty() {
        let (number, after) = split(rest);
        let unit = match after.chars().next()? {
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return None,
        };
        // Each unit once, the larger before the smaller.
        if unit >= largest {
            return None;
        }
        largest = unit;
        seconds += time::plain_number(number)? * unit;
        rest = &after[1..];
    }
    (seconds > 0.0).then_some(seconds)
}

/// The number that `text` begins with, and what follows it.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("24GiB", 24 << 30),
            ("24GB", 24_000_000_000),
            ("1.5 gib", 3 << 29),
            ("512MiB", 512 << 20),
            ("100mb", 100_000_000),
            ("2TiB", 2 << 40),
            ("1048576", 1 << 20),
            (" 7000000 B ", 7_000_000),
            ("24G", 24 << 30),
            ("512m", 512 << 20),
        ] {
            assert_eq!(memory(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "24", "7 B", "900k", "24 GiBs", "-1GB", "1e9", "0GB", "inf", "99999TiB", "1.2.3GB", "é"]
        {
            assert!(memory(text).unwrap_err().contains("24GiB"), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("1h", 3600.0),
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h30m", 5400.0),
            ("1h0m5.5s", 3605.5),
            ("1.5h", 5400.0),
            ("1:30:00", 5400.0),
            ("2:05", 125.0),
        ] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in ["", "90", "h", "1m1h", "1h1h", "1d", "clip.mp4", "1h.mp4", "0s", "0:00", "-1h", "1hé"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
