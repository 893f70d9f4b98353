//! Which frames of a video to take.

use crate::{Error, Limits, Result};

/// How frames are picked from the range of a video.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sampling {
    /// About this many frames a second, as the LongVU package counts them: every `s`-th frame from the first, where `s` is
    /// the video's frame rate over this rate, rounded (halves to even) and at least 1. The frame rate is the average that the
    /// file's headers give. Where they give none, or one that the frames' times contradict by more than half, it is frames
    /// over time; within 4 % of a rate that cameras aim at, such as 30, that one.
    Fps(f64),
    /// Every so-many-th frame from the first.
    Every(usize),
    /// This many frames, spread evenly: frame `i * n / count` of `n` (all `n` if there are fewer).
    Uniform(usize),
    /// For each time, in seconds since the first frame, the frame on screen then. The order does not matter, and two times
    /// that fall on one frame give one frame.
    Timestamps(Vec<f64>),
}

impl Default for Sampling {
    /// One frame a second, as LongVU samples videos.
    fn default() -> Self {
        Self::Fps(1.0)
    }
}

/// How much of a video is decoded to get the sampled frames. The frames are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decoding {
    /// What the sampled frames depend on: between samples, frames that no other frame uses are left out, and decoding goes
    /// on from the last keyframe before the next sample where the codec's standard makes it one to start from (H.264 IDR,
    /// HEVC IDR, BLA and CRA, MPEG-1 and -2, VP9, AV1, and codecs without references between frames). Other streams, and
    /// streams without reliable timestamps, are decoded as [`Full`](Self::Full). Damage in what is left out goes unnoticed.
    #[default]
    Sparse,
    /// Every frame up to the last sample.
    Full,
}

/// Settings for [`Video::open_with`](crate::Video::open_with).
///
/// ```
/// use longvu_video::{Sampling, VideoOptions};
/// let options = VideoOptions::default()
///     .with_sampling(Sampling::Fps(0.5))
///     .with_start(60.0)
///     .with_end(120.0)
///     .with_max_frames(20);
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Which frames are picked. Default: one a second.
    pub sampling: Sampling,
    /// Only frames at or after this time, in seconds since the first frame. Default: from the first.
    pub start: Option<f64>,
    /// Only frames before this time, in seconds since the first frame. Default: to the last.
    pub end: Option<f64>,
    /// At most this many frames: of `n` sampled ones, those at `i * n / max_frames` are kept. Default: no limit.
    pub max_frames: Option<usize>,
    /// Turn pictures upright when the file says how it was held. Default: yes.
    pub autorotate: bool,
    /// How much is decoded. Default: what the sampled frames depend on.
    pub decoding: Decoding,
    /// What is too large. Default: [`Limits::default`].
    pub limits: Limits,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            sampling: Sampling::default(),
            start: None,
            end: None,
            max_frames: None,
            autorotate: true,
            decoding: Decoding::default(),
            limits: Limits::default(),
        }
    }
}

impl VideoOptions {
    /// Sets [`sampling`](Self::sampling).
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets [`start`](Self::start), in seconds.
    #[must_use]
    pub fn with_start(mut self, seconds: f64) -> Self {
        self.start = Some(seconds);
        self
    }

    /// Sets [`end`](Self::end), in seconds.
    #[must_use]
    pub fn with_end(mut self, seconds: f64) -> Self {
        self.end = Some(seconds);
        self
    }

    /// Sets [`max_frames`](Self::max_frames).
    #[must_use]
    pub fn with_max_frames(mut self, count: usize) -> Self {
        self.max_frames = Some(count);
        self
    }

    /// Sets [`autorotate`](Self::autorotate).
    #[must_use]
    pub fn with_autorotate(mut self, autorotate: bool) -> Self {
        self.autorotate = autorotate;
        self
    }

    /// Sets [`decoding`](Self::decoding).
    #[must_use]
    pub fn with_decoding(mut self, decoding: Decoding) -> Self {
        self.decoding = decoding;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks the settings on their own, before any file is opened.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a rate or time that is not a finite number in its range, an end that is not after the
    /// start, or a count of 0.
    pub fn validate(&self) -> Result<()> {
        let wrong = |option, value: String, expected| Err(Error::InvalidOption { option, value, expected });
        match &self.sampling {
            Sampling::Fps(fps) if !(fps.is_finite() && *fps > 0.0) => {
                return wrong("the sampling rate (fps)", fps.to_string(), "a number above 0");
            }
            Sampling::Every(0) => return wrong("the sampling step", "0".into(), "at least 1"),
            Sampling::Uniform(0) => return wrong("the number of frames", "0".into(), "at least 1"),
            Sampling::Timestamps(times) if times.is_empty() => {
                return wrong("the list of timestamps", "empty".into(), "at least one time");
            }
            Sampling::Timestamps(times) => {
                if let Some(time) = times.iter().find(|time| !is_time(**time)) {
                    return wrong("a timestamp", time.to_string(), "a number of seconds, 0 or more");
                }
            }
            _ => {}
        }
        for (option, time) in [("start", self.start), ("end", self.end)] {
            if let Some(time) = time.filter(|time| !is_time(*time)) {
                return wrong(option, time.to_string(), "a number of seconds, 0 or more");
            }
        }
        if let Some(end) = self.end.filter(|end| *end <= self.start.unwrap_or(0.0)) {
            return wrong("end", end.to_string(), "after start");
        }
        if self.max_frames == Some(0) {
            return wrong("max_frames", "0".into(), "at least 1");
        }
        Ok(())
    }
}

fn is_time(seconds: f64) -> bool {
    seconds.is_finite() && seconds >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let base = VideoOptions::default;
        let rates = [0.0, -1.0, f64::NAN, f64::INFINITY].map(|fps| base().with_sampling(Sampling::Fps(fps)));
        let rest = [
            base().with_sampling(Sampling::Every(0)),
            base().with_sampling(Sampling::Uniform(0)),
            base().with_sampling(Sampling::Timestamps(vec![])),
            base().with_sampling(Sampling::Timestamps(vec![1.0, -0.5])),
            base().with_sampling(Sampling::Timestamps(vec![f64::NAN])),
            base().with_start(-1.0),
            base().with_start(f64::NAN),
            base().with_end(f64::INFINITY),
            base().with_end(0.0),
            base().with_start(2.0).with_end(2.0),
            base().with_start(3.0).with_end(2.0),
            base().with_max_frames(0),
        ];
        for options in rates.into_iter().chain(rest) {
            let error = options.validate().unwrap_err();
            assert!(matches!(error, Error::InvalidOption { .. }), "{options:?}: {error}");
        }
    }

    #[test]
    fn sense_is_accepted() {
        VideoOptions::default().validate().unwrap();
        VideoOptions::default().with_start(0.0).with_end(0.1).with_max_frames(1).validate().unwrap();
        VideoOptions::default().with_sampling(Sampling::Timestamps(vec![3.0, 0.0])).validate().unwrap();
    }
}
