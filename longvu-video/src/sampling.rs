//! The index rules: from settings and a timeline to frame indices.

use crate::options::{Sampling, VideoOptions};
use crate::timeline::Timeline;
use crate::{Error, Result};

/// The indices to take, ascending and distinct; empty if the range holds no frame.
pub(crate) fn sampled_indices(options: &VideoOptions, timeline: &Timeline, average_fps: f64) -> Vec<usize> {
    let first = timeline.first_at_or_after(options.start.unwrap_or(0.0));
    let last = options.end.map_or(timeline.len(), |end| timeline.first_at_or_after(end));
    let range = first..last.max(first);

    let indices: Vec<usize> = match &options.sampling {
        Sampling::Fps(fps) => range.step_by(step(average_fps, *fps)).collect(),
        Sampling::Every(step) => range.step_by((*step).max(1)).collect(),
        Sampling::Uniform(count) => spread(range.len(), *count).map(|i| first + i).collect(),
        Sampling::Timestamps(times) => {
            let mut indices: Vec<usize> =
                times.iter().map(|time| timeline.on_screen_at(*time)).filter(|index| range.contains(index)).collect();
            indices.sort_unstable();
            indices.dedup();
            indices
        }
    };
    match options.max_frames {
        Some(cap) if indices.len() > cap => {
            spread(indices.len(), cap).filter_map(|i| indices.get(i).copied()).collect()
        }
        _ => indices,
    }
}

/// Refuses a caller's choice that does not ascend or goes beyond the video's `frames`.
pub(crate) fn check_choice(indices: &[usize], frames: usize) -> Result<()> {
    let wrong = |value: String, expected| Err(Error::InvalidOption { option: "a chosen frame", value, expected });
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] >= pair[1]) {
        return wrong(format!("{} after {}", pair[1], pair[0]), "indices in ascending order, each once");
    }
    match indices.last() {
        None => wrong(format!("none of {frames}"), "one frame at least"),
        Some(last) if *last >= frames => wrong(format!("{last} of {frames}"), "an index below the number of frames"),
        Some(_) => Ok(()),
    }
}

/// Frames from one sample to the next: the ratio of the rates, halves rounded to even as Python's `round` does, at least 1
/// (a slideshow of less than half the asked rate has a ratio that rounds to 0).
fn step(average_fps: f64, sample_fps: f64) -> usize {
    // The cast saturates, and maps the NaN of an unknown rate to 0.
    ((average_fps / sample_fps).round_ties_even() as usize).max(1)
}

/// `i * n / count` for `i` below `count`; all of `0..n` if there are no more than that.
fn spread(n: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(n);
    (0..count).map(move |i| (i as u128 * n as u128 / count as u128) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn even(frames: usize, fps: f64) -> Timeline {
        Timeline::new(None, frames, 0.0, fps)
    }

    fn take(sampling: Sampling, frames: usize, fps: f64) -> Vec<usize> {
        sampled_indices(&VideoOptions::default().with_sampling(sampling), &even(frames, fps), fps)
    }

    #[test]
    fn halves_round_to_even() {
        let steps =
            [(0.5, 1), (0.4, 1), (1.5, 2), (2.5, 2), (3.5, 4), (29.97, 30), (23.976, 24), (0.0, 1), (f64::NAN, 1)];
        for (fps, expected) in steps {
            assert_eq!(step(fps, 1.0), expected, "{fps}");
        }
        assert_eq!(step(25.0, 2.0), 12);
        assert_eq!(step(1e300, 1e-300), usize::MAX);
    }

    #[test]
    fn rate_sampling_as_the_package_does() {
        assert_eq!(take(Sampling::Fps(1.0), 100, 25.0), [0, 25, 50, 75]);
        assert_eq!(take(Sampling::Fps(1.0), 6, 0.5), [0, 1, 2, 3, 4, 5]);
        assert_eq!(take(Sampling::Fps(1.0), 1, 25.0), [0]);
    }

    #[test]
    fn a_range_starts_its_own_count() {
        let options = VideoOptions::default().with_start(1.1).with_end(4.2);
        assert_eq!(sampled_indices(&options, &even(100, 10.0), 10.0), [11, 21, 31, 41]);
        let late = VideoOptions::default().with_start(10.0);
        assert!(sampled_indices(&late, &even(100, 10.0), 10.0).is_empty());
    }

    #[test]
    fn times_pick_the_frame_on_screen() {
        let times = Sampling::Timestamps(vec![0.95, 0.0, 0.32, 0.3, 50.0]);
        assert_eq!(take(times, 20, 10.0), [0, 3, 9, 19]);
    }

    proptest! {
        #[test]
        fn rounding_is_nearest_with_ties_to_even(twice in 1_u32..200_000) {
            let ratio = f64::from(twice) / 2.0;
            let rounded = step(ratio, 1.0);
            let whole = (twice / 2) as usize;
            let expected = if twice % 2 == 0 { whole } else { whole + whole % 2 };
            prop_assert_eq!(rounded, expected.max(1));
        }

        #[test]
        fn steps_are_equal_and_reach_the_end(n in 0_usize..5000, fps in 0.01_f64..240.0, rate in 0.01_f64..240.0) {
            let indices = take(Sampling::Fps(rate), n, fps);
            let s = step(fps, rate);
            prop_assert_eq!(indices.len(), n.div_ceil(s));
            prop_assert!(indices.iter().enumerate().all(|(i, index)| *index == i * s));
        }

        #[test]
        fn uniform_is_spread_and_in_range(n in 0_usize..5000, count in 1_usize..600) {
            let indices = take(Sampling::Uniform(count), n, 25.0);
            prop_assert_eq!(indices.len(), count.min(n));
            prop_assert!(indices.first().is_none_or(|first| *first == 0));
            prop_assert!(indices.iter().all(|index| *index < n));
            let gaps: Vec<usize> = indices.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if let (Some(least), Some(most)) = (gaps.iter().min(), gaps.iter().max()) {
                prop_assert!(*least >= 1 && most - least <= 1);
            }
        }

        #[test]
        fn the_cap_keeps_what_python_would(n in 1_usize..20_000, cap in 1_usize..500) {
            let options = VideoOptions::default().with_sampling(Sampling::Every(1)).with_max_frames(cap);
            let indices = sampled_indices(&options, &even(n, 25.0), 25.0);
            let expected: Vec<usize> = if n <= cap {
                (0..n).collect()
            } else {
                (0..cap).map(|i| ((i * n) as f64 / cap as f64) as usize).collect()
            };
            prop_assert_eq!(indices, expected);
        }

        #[test]
        fn nothing_lies_outside_the_range(n in 1_usize..3000, start in 0.0_f64..100.0, length in 0.01_f64..100.0, uniform: bool) {
            let sampling = if uniform { Sampling::Uniform(7) } else { Sampling::Fps(2.0) };
            let options = VideoOptions::default().with_sampling(sampling).with_start(start).with_end(start + length);
            let line = even(n, 30.0);
            let indices = sampled_indices(&options, &line, 30.0);
            prop_assert!(indices.iter().all(|i| line.time(*i) >= start - 1e-5 && line.time(*i) < start + length));
            prop_assert!(indices.is_sorted_by(|a, b| a < b));
        }
    }
}
