//! Frames that differ: maximal marginal relevance, and k-centre.

use super::{Candidates, FramePicker, Others};
use crate::StageError;

/// Maximal marginal relevance (Carbonell and Goldstein, 1998): the next frame has the greatest
/// `lambda * score - (1 - lambda) * (greatest cosine with a frame that is picked)`, scores scaled to 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Mmr {
    /// How much the score counts, from 0 to 1; 0.5.
    pub lambda: f64,
    /// What becomes of the others.
    pub others: Others,
}

impl Default for Mmr {
    fn default() -> Self {
        Self { lambda: 0.5, others: Others::Dropped }
    }
}

impl Mmr {
    /// Sets [`lambda`](Self::lambda).
    #[must_use]
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for Mmr {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        let scores = frames.scaled().unwrap_or_else(|| vec![0.0; frames.frames()]);
        let gain = |frame: usize, nearest: f64| {
            let repeated = if nearest.is_finite() { (1.0 - self.lambda) * nearest } else { 0.0 };
            self.lambda * scores[frame] - repeated
        };
        Ok(greedy(&frames.similarity(), scores.len(), count, gain))
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// K-centre (Gonzalez, 1985): the first frame, and then each time the one least similar to all that are picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KCenter {
    /// What becomes of the others.
    pub others: Others,
}

impl Default for KCenter {
    fn default() -> Self {
        Self { others: Others::Dropped }
    }
}

impl KCenter {
    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for KCenter {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        Ok(greedy(&frames.similarity(), frames.frames(), count, |_, nearest| -nearest))
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// Picks frame by frame the one of the greatest gain, the earlier of equal ones; `gain` is told a frame and its greatest
/// similarity with those that are picked, which is minus infinity as long as none is.
fn greedy(similarity: &[f32], frames: usize, count: usize, gain: impl Fn(usize, f64) -> f64) -> Vec<usize> {
    let mut nearest = vec![f64::NEG_INFINITY; frames];
    let mut free: Vec<usize> = (0..frames).collect();
    let mut picked = Vec::new();
    while picked.len() < count && !free.is_empty() {
        let mut best = 0;
        for place in 1..free.len() {
            if gain(free[place], nearest[free[place]]) > gain(free[best], nearest[free[best]]) {
                best = place;
            }
        }
        let frame = free.remove(best);
        for &other in &free {
            nearest[other] = nearest[other].max(f64::from(similarity[frame * frames + other]));
        }
        picked.push(frame);
    }
    picked.sort_unstable();
    picked
}
