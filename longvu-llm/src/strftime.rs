//! Dates as chat templates write them.

use std::time::{SystemTime, UNIX_EPOCH};

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

const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

const SECONDS_A_DAY: u64 = 86_400;

/// Formats a time in UTC with the common codes of C's `strftime`, English names; the error names
/// the code that is not supported. Times before 1970 count as its first moment.
pub(crate) fn strftime(time: SystemTime, format: &str) -> Result<String, String> {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let date = Date::from_day(seconds / SECONDS_A_DAY);
    let second_of_day = seconds % SECONDS_A_DAY;
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        text.push_str(&match characters.next() {
            Some('Y') => date.year.to_string(),
            Some('y') => format!("{:02}", date.year % 100),
            Some('m') => format!("{:02}", date.month + 1),
            Some('d') => format!("{:02}", date.day_of_month + 1),
            Some('j') => format!("{:03}", date.day_of_year + 1),
            Some('B') => MONTHS[date.month].to_owned(),
            Some('b') => MONTHS[date.month][..3].to_owned(),
            Some('A') => date.weekday.to_owned(),
            Some('a') => date.weekday[..3].to_owned(),
            Some('H') => format!("{:02}", second_of_day / 3600),
            Some('M') => format!("{:02}", second_of_day / 60 % 60),
            Some('S') => format!("{:02}", second_of_day % 60),
            Some('%') => "%".to_owned(),
            other => {
                let code = other.map_or_else(String::new, String::from);
                return Err(format!("strftime_now does not support the code %{code}"));
            }
        });
    }
    Ok(text)
}

/// A calendar date; month and days count from 0.
struct Date {
    year: u64,
    month: usize,
    day_of_month: u64,
    day_of_year: u64,
    weekday: &'static str,
}

impl Date {
    /// The date of a day counted from 1 January 1970.
    fn from_day(day: u64) -> Self {
        let weekday = WEEKDAYS[(day % 7) as usize];
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
    use std::time::Duration;

    use super::*;

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
    fn unsupported_codes_are_named() {
        assert!(at(0, "%q").is_err_and(|error| error.contains("%q")));
        assert!(at(0, "%").is_err());
    }
}
