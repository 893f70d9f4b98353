//! Dates as chat templates write them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits::DATE_FIELD_WIDTH;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const SECONDS_A_DAY: u64 = 86_400;

/// Formats a time in UTC as Python does on Linux, with English names; the error names the code that is not supported.
/// Times before 1970 count as its first moment. Time zones (`%z`, `%Z`) are empty, as of Python's `datetime.now()`.
pub(super) fn strftime(time: SystemTime, format: &str) -> Result<String, String> {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let moment = Moment { seconds, date: Date::from_day(seconds / SECONDS_A_DAY) };
    let mut text = String::new();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = characters.next_if(|c| "-_0^#".contains(*c)) {
            match flag {
                '^' => flags.upper = true,
                '#' => flags.swap = true,
                pad => flags.pad = Some(pad),
            }
        }
        while let Some(digit) = characters.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
            flags.width = flags.width.saturating_mul(10).saturating_add(digit as usize);
        }
        if flags.width > DATE_FIELD_WIDTH {
            return Err(format!("strftime_now does not support fields wider than {DATE_FIELD_WIDTH}"));
        }
        let _ = characters.next_if(|c| "EO".contains(*c));
        let code = characters.next();
        let field = code.and_then(|code| moment.field(code));
        let code = code.map_or_else(String::new, String::from);
        let field = field.ok_or_else(|| format!("strftime_now does not support the code %{code}"))?;
        text.push_str(&flags.write(&field, &code));
    }
    Ok(text)
}

/// What stands between `%` and the code.
#[derive(Default)]
struct Flags {
    /// `-` for no padding, `_` for spaces, `0` for zeros.
    pad: Option<char>,
    upper: bool,
    swap: bool,
    width: usize,
}

/// What a code stands for.
enum Field {
    /// A number, its least width, and what fills it.
    Number(u64, usize, char),
    Text(String),
}

impl Flags {
    fn write(&self, field: &Field, code: &str) -> String {
        let (text, width, fill) = match field {
            Field::Number(number, width, fill) => (number.to_string(), *width, *fill),
            // The case of `%p` is swapped, of names raised.
            Field::Text(text) if self.swap && code == "p" => (text.to_lowercase(), 0, ' '),
            Field::Text(text) if self.upper || (self.swap && "aAbBh".contains(code)) => (text.to_uppercase(), 0, ' '),
            Field::Text(text) => (text.clone(), 0, ' '),
        };
        let (width, fill) = match self.pad {
            Some('-') => (self.width, if self.width > 0 { fill } else { ' ' }),
            Some('_') => (width.max(self.width), ' '),
            Some(zero) => (width.max(self.width), zero),
            None => (width.max(self.width), fill),
        };
        let missing = width.saturating_sub(text.chars().count());
        String::from(fill).repeat(missing) + &text
    }
}

/// A time, taken apart.
struct Moment {
    seconds: u64,
    date: Date,
}

impl Moment {
    fn field(&self, code: char) -> Option<Field> {
        let (date, second) = (&self.date, self.seconds % SECONDS_A_DAY);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        let clock_hour = (hour + 11) % 12 + 1;
        let half = if hour < 12 { "AM" } else { "PM" };
        let number = |number, width| Field::Number(number, width, '0');
        let spaced = |number| Field::Number(number, 2, ' ');
        let text = |text: &str| Field::Text(text.to_owned());
        // Days since the last Sunday and Monday.
        let (sunday, monday) = (date.weekday as u64, (date.weekday as u64 + 6) % 7);
        Some(match code {
            'Y' => number(date.year, 1),
            'C' => number(date.year / 100, 2),
            'y' => number(date.year % 100, 2),
            'm' => number(date.month as u64 + 1, 2),
            'd' => number(date.day_of_month + 1, 2),
            'e' => spaced(date.day_of_month + 1),
            'j' => number(date.day_of_year + 1, 3),
            'B' => text(MONTHS[date.month]),
            'b' | 'h' => text(&MONTHS[date.month][..3]),
            'A' => text(WEEKDAYS[date.weekday]),
            'a' => text(&WEEKDAYS[date.weekday][..3]),
            'w' => number(sunday, 1),
            'u' => number(monday + 1, 1),
            'U' => number((date.day_of_year + 7 - sunday) / 7, 2),
            'W' => number((date.day_of_year + 7 - monday) / 7, 2),
            'G' => number(date.iso_week().0, 1),
            'g' => number(date.iso_week().0 % 100, 2),
            'V' => number(date.iso_week().1, 2),
            'H' => number(hour, 2),
            'I' => number(clock_hour, 2),
            'k' => spaced(hour),
            'l' => spaced(clock_hour),
            'M' => number(minute, 2),
            'S' => number(second % 60, 2),
            'f' => Field::Text("000000".into()),
            's' => number(self.seconds, 1),
            'p' => text(half),
            'P' => text(&half.to_lowercase()),
            'z' | 'Z' => text(""),
            'n' => text("\n"),
            't' => text("\t"),
            '%' => text("%"),
            composed => Field::Text(self.composed(composed)?),
        })
    }

    /// The codes that stand for several.
    fn composed(&self, code: char) -> Option<String> {
        let codes = match code {
            'D' | 'x' => "m/d/y",
            'F' => "Y-m-d",
            'R' => "H:M",
            'T' | 'X' => "H:M:S",
            'r' => "I:M:S p",
            'c' => "a b e H:M:S Y",
            _ => return None,
        };
        let part = |c: char| self.field(c).map_or_else(|| c.to_string(), |field| Flags::default().write(&field, ""));
        Some(codes.chars().map(part).collect())
    }
}

/// A calendar date; month and days count from 0.
struct Date {
    year: u64,
    month: usize,
    day_of_month: u64,
    day_of_year: u64,
    /// Days since the last Sunday.
    weekday: usize,
}

impl Date {
    /// The date of a day counted from 1 January 1970.
    fn from_day(day: u64) -> Self {
        // The first day was a Thursday.
        let weekday = ((day + 4) % 7) as usize;
        let (mut year, mut day_of_year) = (1970, day);
        while day_of_year >= days_in_year(year) {
            day_of_year -= days_in_year(year);
            year += 1;
        }
        let (mut month, mut day_of_month) = (0, day_of_year);
        while day_of_month >= days_in_month(year, month) {
            day_of_month -= days_in_month(year, month);
            month += 1;
        }
        Self { year, month, day_of_month, day_of_year, weekday }
    }

    /// The year and week of ISO 8601: weeks begin on Mondays, and the first of a year has its 4 January.
    fn iso_week(&self) -> (u64, u64) {
        let monday = (self.weekday as u64 + 6) % 7;
        // The week is that of its Thursday, `thursday` days after the year's first, or before.
        let (thursday, back) = (self.day_of_year + 3, monday);
        if thursday < back {
            let year = self.year - 1;
            return (year, (days_in_year(year) + thursday - back) / 7 + 1);
        }
        let day = thursday - back;
        if day >= days_in_year(self.year) { (self.year + 1, 1) } else { (self.year, day / 7 + 1) }
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_in_year(year: u64) -> u64 {
    365 + u64::from(is_leap(year))
}

fn days_in_month(year: u64, month: usize) -> u64 {
    match month {
        1 => 28 + u64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, format: &str) -> Result<String, String> {
        strftime(UNIX_EPOCH + Duration::from_secs(seconds), format)
    }

    #[test]
    fn known_dates() {
        assert_eq!(at(0, "%A %d %B %Y"), Ok("Thursday 01 January 1970".into()));
        assert_eq!(at(951_782_400, "%a %d %b %Y, %j"), Ok("Tue 29 Feb 2000, 060".into()));
        assert_eq!(at(1_735_689_599, "%y-%m-%d %H:%M:%S %%"), Ok("24-12-31 23:59:59 %".into()));
        assert_eq!(at(4_107_542_400, "%d %b %Y"), Ok("01 Mar 2100".into()));
    }

    #[test]
    fn weeks_are_pythons_around_new_year() {
        for (day, expected) in [
            (0, "1970-01-4 70 00 00 4"),
            (361, "1970-53-1 70 52 52 1"),
            (2194, "1976-01-7 76 01 00 0"),
            (2553, "1976-53-2 76 52 52 2"),
            (2559, "1977-01-1 77 01 01 1"),
            (2919, "1977-52-4 77 52 52 4"),
            (10594, "1998-53-7 98 01 00 0"),
            (10595, "1999-01-1 99 01 01 1"),
            (10956, "1999-52-5 99 52 52 5"),
            (10957, "1999-52-6 99 00 00 6"),
            (10960, "2000-01-2 00 01 01 2"),
            (11319, "2000-52-4 00 52 52 4"),
            (12418, "2004-01-4 04 00 00 4"),
            (12420, "2004-01-6 04 00 00 6"),
            (12421, "2004-01-7 04 01 00 0"),
            (12781, "2004-53-3 04 52 52 3"),
            (12783, "2004-53-5 04 52 52 5"),
            (13145, "2005-52-3 05 52 52 3"),
            (13879, "2008-01-2 08 00 00 2"),
            (13881, "2008-01-4 08 00 00 4"),
            (14248, "2009-01-7 09 01 00 0"),
            (14613, "2010-01-1 10 01 01 1"),
            (14971, "2010-52-2 10 52 52 2"),
            (16436, "2015-01-4 15 00 00 4"),
        ] {
            assert_eq!(at(day * SECONDS_A_DAY, "%G-%V-%u %g %U %W %w"), Ok(expected.into()), "day {day}");
        }
    }

    #[test]
    fn flags_and_widths_are_those_of_c() {
        let text = at(951_782_400 + 47_109, "%-d|%_m|%05d|%^a|%^B|%#p|%-I|%3Y|%_5S|%010B|%Ey|%Od|%-j|%e|%-e").unwrap();
        assert_eq!(text, "29| 2|00029|TUE|FEBRUARY|pm|1|2000|    9|00February|00|29|60|29|29");
        assert!(at(0, "%1000000000000000000000000d").is_err());
    }

    #[test]
    fn unsupported_codes_are_named() {
        assert!(at(0, "%q").is_err_and(|error| error.contains("%q")));
        assert!(at(0, "%").is_err());
    }
}
