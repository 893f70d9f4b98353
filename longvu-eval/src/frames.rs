//! Which frames an evaluation looks at: the published scripts' formulas.

use longvu::video::VideoInfo;
use serde::{Deserialize, Serialize};

/// How the published scripts choose frames.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FrameRule {
    /// Frames a second.
    pub fps: f64,
    /// Whether the video's rate is rounded before it is divided: `round(round(rate) / fps)`, not `round(rate / fps)`.
    pub round_rate: bool,
    /// Of more samples than this every `n / this`-th is taken, so that up to twice as many stay; all where there is none.
    pub thin_above: Option<usize>,
    /// At most this many, evenly spread; not of the scripts.
    pub max_frames: Option<usize>,
}

impl FrameRule {
    /// About `fps` frames a second by the rule of VideoMME's script, without a limit.
    pub fn new(fps: f64) -> Self {
        Self { fps, round_rate: true, thin_above: None, max_frames: None }
    }

    /// Sets [`round_rate`](Self::round_rate).
    #[must_use]
    pub fn with_round_rate(mut self, round: bool) -> Self {
        self.round_rate = round;
        self
    }

    /// Sets [`thin_above`](Self::thin_above).
    #[must_use]
    pub fn with_thin_above(mut self, frames: Option<usize>) -> Self {
        self.thin_above = frames;
        self
    }

    /// Sets [`max_frames`](Self::max_frames).
    #[must_use]
    pub fn with_max_frames(mut self, frames: Option<usize>) -> Self {
        self.max_frames = frames;
        self
    }

    /// Indices of the frames of a video of `frames` frames at `rate` a second, or of the part of it within `bounds`
    /// (seconds); ascending.
    ///
    /// Halves round to even, as Python's `round`. The package fails where a step is 0; here it is at least 1. Bounds
    /// that hold no frame give the one that they begin at.
    pub fn indices(&self, frames: usize, rate: f64, bounds: Option<(f64, f64)>) -> Vec<usize> {
        let round = f64::round_ties_even;
        let step = if self.round_rate { round(round(rate) / self.fps) } else { round(rate / self.fps) };
        // Casts saturate, and map the NaN of an unknown rate to 0.
        let step = (step as usize).max(1);
        let (first, last) = match bounds {
            // Without an end, to the last.
            Some((start, f64::INFINITY)) => ((round(start * rate) as usize).min(frames.saturating_sub(1)), frames),
            Some((start, end)) => {
                let first = (round(start * rate) as usize).min(frames.saturating_sub(1));
                let last = (round(end * rate) as usize).min(frames.saturating_sub(1));
                (first, last.max(first + 1).min(frames))
            }
            None => (0, frames),
        };
        let mut indices: Vec<usize> = (first..last).step_by(step).collect();
        if let Some(most) = self.thin_above.filter(|&most| most > 0 && indices.len() > most) {
            indices = indices.iter().copied().step_by(indices.len() / most).collect();
        }
        match self.max_frames {
            Some(cap) if indices.len() > cap => {
                let n = indices.len();
                (0..cap).map(|i| indices[(i as u128 * n as u128 / cap as u128) as usize]).collect()
            }
            _ => indices,
        }
    }

    /// The same of a folder of `pictures`, which the scripts count from 1: from picture `max(1, round(start rate))` to before
    /// picture `min(round(end rate), pictures)`. Indices are from 0.
    pub fn of_pictures(&self, pictures: usize, rate: f64, bounds: Option<(f64, f64)>) -> Vec<usize> {
        let Some((start, end)) = bounds else { return self.indices(pictures, rate, None) };
        let number = |seconds: f64| ((seconds * rate).round_ties_even() as usize).min(pictures);
        let first = number(start).max(1).min(pictures);
        let part = number(end).saturating_sub(first).max(1).min(pictures + 1 - first.max(1));
        self.indices(part, rate, None).into_iter().map(|i| i + first - 1).collect()
    }

    /// The same, of an opened video.
    pub fn of_video(&self, info: &VideoInfo, bounds: Option<(f64, f64)>) -> Vec<usize> {
        self.indices(info.frame_count, info.average_fps, bounds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_are_the_scripts() {
        let half = FrameRule::new(0.5);
        assert_eq!(half.indices(200, 29.97, None), [0, 60, 120, 180]);
        // 24.4 is rounded first: 24 / 0.5 and not 24.4 / 0.5.
        assert_eq!(half.indices(100, 24.4, None), [0, 48, 96]);
        let two = FrameRule::new(2.0).with_round_rate(false);
        assert_eq!(two.indices(40, 25.0, None), [0, 12, 24, 36]);
        assert_eq!(two.indices(5, 0.5, None), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn bounds_are_frames_and_the_last_is_left_out() {
        let two = FrameRule::new(2.0).with_round_rate(false);
        // round(0.5 * 25) = 12, and up to min(round(2.1 * 25), 99) = 52.
        assert_eq!(two.indices(100, 25.0, Some((0.5, 2.1))), [12, 24, 36, 48]);
        assert_eq!(two.indices(30, 25.0, Some((0.0, 100.0))), [0, 12, 24]);
        assert_eq!(two.indices(30, 25.0, Some((50.0, 60.0))), [29]);
    }

    #[test]
    fn pictures_count_from_one() {
        let two = FrameRule::new(2.0).with_round_rate(false);
        // Pictures 2, 4, 6: from round(0.5 * 3) to before round(2.5 * 3) = 8, both halves to even, by round(3 / 2).
        assert_eq!(two.of_pictures(9, 3.0, Some((0.5, 2.5))), [1, 3, 5]);
        assert_eq!(two.of_pictures(9, 3.0, Some((0.0, 100.0))), [0, 2, 4, 6]);
        assert_eq!(two.of_pictures(9, 3.0, Some((2.9, 100.0))), [8]);
        assert_eq!(two.of_pictures(3, 3.0, None), [0, 2]);
        let all = FrameRule::new(1.0).indices(10, 1.0, Some((2.0, f64::INFINITY)));
        assert_eq!(all, [2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn long_videos_are_thinned_by_whole_steps() {
        let rule = FrameRule::new(0.5).with_thin_above(Some(1000));
        assert_eq!(rule.indices(3998, 0.5, None).len(), 1333, "every third of 3,998");
        assert_eq!(rule.indices(1999, 0.5, None).len(), 1999);
        assert_eq!(FrameRule::new(0.5).indices(3998, 0.5, None).len(), 3998);
        assert_eq!(rule.with_max_frames(Some(10)).indices(100, 0.5, None), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    }

    proptest! {
        #[test]
        fn something_is_always_seen_and_in_order(
            frames in 1_usize..5000, rate in 0.0_f64..120.0, fps in 0.1_f64..4.0,
            bounds in proptest::option::of((0.0_f64..100.0, 0.0_f64..100.0)), round: bool,
        ) {
            let rule = FrameRule::new(fps).with_round_rate(round).with_thin_above(Some(1000));
            let indices = rule.indices(frames, rate, bounds);
            prop_assert!(!indices.is_empty());
            prop_assert!(indices.is_sorted_by(|a, b| a < b));
            prop_assert!(indices[indices.len() - 1] < frames);
            prop_assert!(indices.len() < 2000);
        }
    }
}
