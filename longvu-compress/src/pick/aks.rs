//! AKS (arXiv 2502.21271): top frames of the whole video, or of halves of it, as their scores lie.

use super::{Candidates, FramePicker, Others, UniformFrames, ranked};
use crate::StageError;

/// Adaptive keyframe sampling of `n` frames.
///
/// Scores are scaled to 0..1. A segment, at first the whole video, is a leaf if the mean of its `n` highest scores exceeds
/// its mean by more than `threshold`, or if it is `depth` halvings deep; else it is halved. A leaf at depth `d` gives its
/// `floor(n / 2^d)` highest frames, which may be fewer than `n` in all. A video of fewer than `n` frames is kept whole.
///
/// Where the paper's formula gives no frame, for `n` is smaller than the number of leaves, the `n` highest are picked.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Aks {
    /// How far the highest scores of a segment must stand out for it to stay whole; 0.8.
    pub threshold: f64,
    /// The most halvings; 5.
    pub depth: u32,
    /// What becomes of the others; dropped in the paper.
    pub others: Others,
}

impl Default for Aks {
    fn default() -> Self {
        Self { threshold: 0.8, depth: 5, others: Others::Dropped }
    }
}

impl Aks {
    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets [`depth`](Self::depth).
    #[must_use]
    pub fn with_depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }

    /// Picks from the frames whose scores begin at position `start`.
    fn segment(&self, scores: &[f64], start: usize, depth: u32, count: usize, picked: &mut Vec<usize>) {
        if scores.is_empty() {
            return;
        }
        let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
        let mut highest = scores.to_vec();
        highest.sort_by(|a, b| b.total_cmp(a));
        highest.truncate(count);
        if mean(&highest) - mean(scores) > self.threshold || depth >= self.depth || scores.len() < 2 {
            let own: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
            let most = count.checked_shr(depth).unwrap_or(0);
            picked.extend(ranked(&own).into_iter().take(most).map(|i| start + i));
            return;
        }
        let (first, second) = scores.split_at(scores.len() / 2);
        self.segment(first, start, depth + 1, count, picked);
        self.segment(second, start + first.len(), depth + 1, count, picked);
    }
}

impl FramePicker for Aks {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        if frames.frames() < count {
            return Ok((0..frames.frames()).collect());
        }
        let Some(scaled) = frames.scaled() else { return UniformFrames::default().pick(frames, count) };
        let mut picked = Vec::new();
        self.segment(&scaled, 0, 0, count, &mut picked);
        if picked.is_empty() {
            picked = ranked(frames.scores);
            picked.truncate(count);
        }
        picked.sort_unstable();
        Ok(picked)
    }

    fn others(&self) -> Others {
        self.others
    }
}
