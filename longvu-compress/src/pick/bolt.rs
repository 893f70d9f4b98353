//! BOLT (arXiv 2503.21483): frames drawn at even quantiles of their scores' distribution.

use super::{Candidates, FramePicker, Others, UniformFrames, ranked};
use crate::StageError;

/// Inverse-transform sampling: with `w = ((s - min) / (max - min))^power`, normalised and added up, frame `i` of `n` is the
/// first at which the sum reaches `1/n + i (1 - 2/n) / (n - 1)`.
///
/// A frame that comes up several times is there once, and the places that are left go to the frames of the highest scores.
/// Where all scores are alike frames are spread evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bolt {
    /// How much high scores are preferred; 3 in the paper's runs, 2.5 for LongVideoBench.
    pub power: f64,
    /// What becomes of the others; dropped in the paper.
    pub others: Others,
}

impl Default for Bolt {
    fn default() -> Self {
        Self { power: 3.0, others: Others::Dropped }
    }
}

impl Bolt {
    /// Sets [`power`](Self::power).
    #[must_use]
    pub fn with_power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }

    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for Bolt {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        let count = count.min(frames.frames());
        let Some(scaled) = frames.scaled() else { return UniformFrames::default().pick(frames, count) };
        let weights: Vec<f64> = scaled.iter().map(|score| score.powf(self.power)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let reached: Vec<f64> = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        let mut picked: Vec<usize> = quantiles(count)
            .map(|quantile| reached.partition_point(|&sum| sum < quantile).min(scaled.len() - 1))
            .collect();
        picked.dedup();
        let left = count - picked.len();
        let more: Vec<usize> = ranked(frames.scores).into_iter().filter(|i| !picked.contains(i)).take(left).collect();
        picked.extend(more);
        picked.sort_unstable();
        Ok(picked)
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// `count` numbers from `1 / count` to `1 - 1 / count`, evenly.
fn quantiles(count: usize) -> impl Iterator<Item = f64> {
    let n = count as f64;
    let step = if count > 1 { (1.0 - 2.0 / n) / (n - 1.0) } else { 0.0 };
    (0..count).map(move |i| 1.0 / n + i as f64 * step)
}
