//! The table.

use std::{fmt, time::Duration};

use crate::{clients::Outcome, memory::Memory};

pub const HEAD: &str = "\
| clients | answers a second | median | 99th percentile | answered | refused (503) | failed | memory at the start | peak | forecast | decoders |
|---|---|---|---|---|---|---|---|---|---|---|";

/// A number of clients, and what became of their requests.
#[derive(Debug)]
pub struct Row {
    pub clients: usize,
    pub seconds: f64,
    pub outcome: Outcome,
    pub memory: Memory,
}

impl Row {
    pub fn failures(&self) -> impl Iterator<Item = &str> {
        self.outcome.failures.iter().map(String::as_str)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { times, refused, failures } = &self.outcome;
        let mut sorted = times.clone();
        let [median, last] = [0.5, 0.99].map(|share| quantile(&mut sorted, share).as_secs_f64());
        let Memory { start, peak, decoders, forecast } = self.memory;
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        write!(
            f,
            "| {} | {:.1} | {median:.2} s | {last:.2} s | {} | {refused} | {} | {} | {} | {} | {} |",
            self.clients,
            times.len() as f64 / self.seconds,
            times.len(),
            failures.len(),
            mib(start),
            mib(peak),
            mib(start + forecast),
            mib(decoders),
        )
    }
}

/// The time that this share of all do not exceed; zero of none.
pub fn quantile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let place = (times.len() as f64 * share).ceil() as usize;
    times.get(place.saturating_sub(1)).copied().unwrap_or_default()
}
