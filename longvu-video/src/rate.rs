//! How many frames a second a video has: by its headers where its frames' times bear them out, else by the times.

use crate::Warning;

/// What headers say, in frames a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Declared {
    /// The average, as the container states it or FFmpeg sums it up.
    pub average: Option<f64>,
    /// The finest rate of which all of the first times are multiples: for jittering times that of the clock's ticks.
    pub finest: Option<f64>,
    /// Seconds of video.
    pub duration: Option<f64>,
}

/// What the times of a video's frames say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub frames: usize,
    /// Seconds from the first to the last; 0 if not known.
    pub span: f64,
    /// Seconds that the last is on screen; 0 if not known.
    pub last: f64,
}

/// The rates of a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// Frames a second on average; 0 if unknown.
    pub average: f64,
    /// The rate to sample by.
    pub sampling: f64,
    /// Whether it was measured, against the headers if they have one.
    pub is_measured: bool,
}

/// A header's rate that is off by more than this factor is not that of the frames. A video of a variable rate differs by less,
/// and is sampled by its header as the LongVU package does.
const IMPLAUSIBLE: f64 = 1.5;

/// Rates from here on are those of a clock's ticks, not of pictures.
const TICKS: f64 = 1000.0;

/// Rates that cameras and browsers aim at.
const CUSTOMARY: [f64; 13] = [10.0, 12.0, 15.0, 20.0, 24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 90.0, 100.0, 120.0];

/// How far a measured rate may be from the customary one that was aimed at.
const JITTER: f64 = 0.04;

/// Chooses the rate.
pub(crate) fn choose(declared: Declared, measured: Measured) -> Rate {
    let by_header = |rate: f64| Rate { average: rate, sampling: rate, is_measured: false };
    let Some((low, high)) = bounds(declared, measured) else {
        let stated = declared.average.or(declared.finest).filter(|rate| *rate < TICKS);
        let counted = declared.duration.map(|duration| measured.frames as f64 / duration);
        return by_header(stated.or(counted).unwrap_or(0.0));
    };
    let is_plausible = |rate: f64, factor: f64| low / factor <= rate && rate <= high * factor;
    if let Some(rate) = declared.average.filter(|rate| is_plausible(*rate, IMPLAUSIBLE)) {
        return by_header(rate);
    }
    if let Some(rate) = declared.finest.filter(|rate| declared.average.is_none() && is_plausible(*rate, 1.0 + JITTER)) {
        return by_header(rate);
    }
    Rate { average: low, sampling: aimed_at(low), is_measured: true }
}

impl Rate {
    /// What to say of a rate that is not the headers'.
    pub fn warning(&self, declared: Declared) -> Option<Warning> {
        let wrong = declared.average.filter(|_| self.is_measured)?;
        Some(Warning::WrongFrameRate { declared: wrong, measured: self.average })
    }
}

/// The rates that the times allow, by how long the last frame counts; `None` if they tell none.
fn bounds(declared: Declared, Measured { frames, span, last }: Measured) -> Option<(f64, f64)> {
    if frames < 2 || span <= 0.0 {
        return None;
    }
    let without_last = (frames - 1) as f64 / span;
    // FFmpeg fills in one tick of the clock where the file says nothing.
    let is_tick = declared.average.is_none() && declared.finest.is_some_and(|rate| (last * rate - 1.0).abs() < 1e-3);
    let with_last = if last > 0.0 && !is_tick { frames as f64 / (span + last) } else { without_last };
    Some((with_last, without_last.max(with_last)))
}

/// The customary rate near a measured one. Recorders that find no time for a frame drop it, so that they stay a little below
/// what they aim at; sampling goes by that, as it does where a header has it.
fn aimed_at(measured: f64) -> f64 {
    let off = |rate: f64| (measured / rate).ln().abs();
    let nearest = CUSTOMARY.into_iter().min_by(|a, b| off(*a).total_cmp(&off(*b)));
    nearest.filter(|rate| off(*rate) < JITTER).unwrap_or(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(average: f64, finest: f64, frames: usize, span: f64, last: f64) -> Rate {
        let positive = |rate: f64| (rate > 0.0).then_some(rate);
        let declared = Declared { average: positive(average), finest: positive(finest), duration: None };
        choose(declared, Measured { frames, span, last })
    }

    #[test]
    fn headers_are_believed_unless_times_speak_against_them() {
        let header = |rate| Rate { average: rate, sampling: rate, is_measured: false };
        assert_eq!(rate(25.0, 25.0, 100, 3.96, 0.04), header(25.0));
        assert_eq!(rate(38.557, 60.0, 187, 4.9333, 0.0166), header(38.557));
        assert_eq!(rate(0.2, 10.0, 2, 0.1, 9.9), header(0.2), "the second of two frames stays for long");
        assert_eq!(rate(0.0, 25.0, 100, 3.96, 0.04), header(25.0));
        assert_eq!(rate(25.0, 25.0, 1, 0.0, 0.04), header(25.0));
        assert_eq!(rate(30.0, 0.0, 1, 0.0, 0.0), header(30.0));
        assert_eq!(rate(0.0, 0.0, 1, 0.0, 0.0), header(0.0));
    }

    #[test]
    fn ticks_of_a_clock_are_no_rate() {
        let jitter = rate(0.0, 1000.0, 150, 5.149, 0.001);
        assert!((jitter.average - 149.0 / 5.149).abs() < 1e-9 && jitter.sampling == 30.0, "{jitter:?}");
        let slow = rate(90_000.0, 90_000.0, 80, 10.27, 0.13);
        assert!((slow.average - 80.0 / 10.4).abs() < 1e-9 && slow.sampling == slow.average, "{slow:?}");
        assert_eq!(rate(0.0, 1000.0, 150, 0.0, 0.0).average, 0.0);
        let untimed = Declared { finest: Some(1000.0), duration: Some(5.0), ..Declared::default() };
        assert_eq!(choose(untimed, Measured { frames: 100, ..Measured::default() }).average, 20.0);
    }

    #[test]
    fn a_header_that_is_off_by_two_is_said() {
        let declared = Declared { average: Some(60.0), finest: Some(60.0), duration: None };
        let rate = choose(declared, Measured { frames: 61, span: 2.0, last: 0.0333 });
        assert!(rate.is_measured && rate.sampling == 30.0, "{rate:?}");
        assert!(matches!(rate.warning(declared), Some(Warning::WrongFrameRate { declared: 60.0, .. })));
        let none = Declared { average: None, ..declared };
        assert_eq!(choose(none, Measured { frames: 61, span: 2.0, last: 0.0333 }).warning(none), None);
    }

    #[test]
    fn frames_of_very_different_lengths() {
        let gif = rate(10.0, 10.0, 12, 6.0, 0.1);
        assert!((gif.average - 12.0 / 6.1).abs() < 1e-9 && gif.is_measured, "{gif:?}");
    }
}
