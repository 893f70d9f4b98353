//! When each frame of a video is on screen.

use std::ops::Range;

/// The times of all displayed frames, 8 bytes a frame.
///
/// Index `k` is the `k`-th frame in display order. Where the file's timestamps can be trusted (present, mostly distinct,
/// without jumps back) they are used; otherwise frame `k` is at `k / fps`.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    /// Presentation timestamps in ascending order; empty when they cannot be trusted.
    pts: Vec<i64>,
    frames: usize,
    seconds_per_unit: f64,
    fps: f64,
}

/// Times closer than this, in seconds, are the same: 0.3 s must find frame 3 of a 10 fps video, whose time in floating
/// point lies a little above.
const TOLERANCE: f64 = 1e-6;

impl Timeline {
    /// `pts` in units of `seconds_per_unit`, sorted; or `None` to space `frames` frames evenly.
    pub fn new(pts: Option<Vec<i64>>, frames: usize, seconds_per_unit: f64, fps: f64) -> Self {
        Self { pts: pts.unwrap_or_default(), frames, seconds_per_unit, fps }
    }

    /// Number of displayed frames.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether times come from the file.
    #[cfg(test)]
    pub fn is_timed(&self) -> bool {
        !self.pts.is_empty()
    }

    /// Seconds from the first frame to frame `index`.
    pub fn time(&self, index: usize) -> f64 {
        match (self.pts.get(index), self.pts.first()) {
            // A difference of two i64 can overflow i64 in a hostile file.
            (Some(pts), Some(first)) => (i128::from(*pts) - i128::from(*first)) as f64 * self.seconds_per_unit,
            _ if self.fps > 0.0 => index as f64 / self.fps,
            _ => 0.0,
        }
    }

    /// The first frame at or after `seconds`; the number of frames if there is none.
    pub fn first_at_or_after(&self, seconds: f64) -> usize {
        self.frames_before(|time| time < seconds - TOLERANCE)
    }

    /// The frame on screen at `seconds`: the last that starts at or before it.
    pub fn on_screen_at(&self, seconds: f64) -> usize {
        self.frames_before(|time| time <= seconds + TOLERANCE).saturating_sub(1)
    }

    /// How many frames have times for which `is_before` holds; it holds for none after one for which it does not.
    fn frames_before(&self, is_before: impl Fn(f64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.frames);
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.time(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The frames with exactly this timestamp.
    pub fn indices_of(&self, pts: i64) -> Range<usize> {
        self.pts.partition_point(|other| *other < pts)..self.pts.partition_point(|other| *other <= pts)
    }

    /// The frame with exactly this timestamp: of several, the one that is next in order, else the first.
    pub fn index_of(&self, pts: i64, next_in_order: usize) -> Option<usize> {
        let indices = self.indices_of(pts);
        if indices.contains(&next_in_order) { Some(next_in_order) } else { indices.clone().next() }
    }

    /// Where a decoded frame belongs: by its timestamp, so that frames lost to damage do not shift later ones, else the
    /// next in order.
    pub fn position(&self, pts: Option<i64>, next_in_order: usize) -> usize {
        let index = pts.and_then(|pts| self.index_of(pts, next_in_order));
        index.map_or(next_in_order, |index| index.max(next_in_order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_rate() {
        let line = Timeline::new(Some(vec![-10, 0, 30, 100]), 4, 0.1, 5.0);
        assert!(line.is_timed());
        assert_eq!([0, 1, 2, 3].map(|k| line.time(k)), [0.0, 1.0, 4.0, 11.0]);
        assert_eq!([0.0, 0.5, 1.0, 4.1, 11.0, 11.1].map(|t| line.first_at_or_after(t)), [0, 1, 1, 3, 3, 4]);
        assert_eq!([0.0, 0.9, 1.0, 3.9, 99.0].map(|t| line.on_screen_at(t)), [0, 0, 1, 1, 3]);
        assert_eq!(line.position(Some(30), 1), 2);
        assert_eq!(line.position(Some(31), 1), 1);
        assert_eq!(line.position(Some(-10), 2), 2);
        assert_eq!(line.position(None, 3), 3);
    }

    #[test]
    fn frames_that_share_a_time() {
        let line = Timeline::new(Some(vec![0, 10, 10, 20]), 4, 0.1, 1.0);
        assert_eq!([0.0, 0.9, 1.0, 1.5, 2.0].map(|t| line.on_screen_at(t)), [0, 0, 2, 2, 3]);
        assert_eq!([0.5, 1.0, 1.1].map(|t| line.first_at_or_after(t)), [1, 1, 3]);
        assert_eq!([0, 1, 2, 3].map(|next| line.position(Some(10), next)), [1, 1, 2, 3]);
        assert_eq!(line.indices_of(10), 1..3);
        assert!(line.indices_of(11).is_empty());
    }

    #[test]
    fn without_timestamps() {
        let line = Timeline::new(None, 10, 0.1, 4.0);
        assert!(!line.is_timed());
        assert_eq!(line.time(6), 1.5);
        assert_eq!(line.first_at_or_after(1.3), 6);
        assert_eq!(line.on_screen_at(1.3), 5);
        assert_eq!(line.position(Some(7), 2), 2);
    }
}
