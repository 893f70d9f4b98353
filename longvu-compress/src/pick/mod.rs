//! Which frames of a video get full resolution, once they have scores, and what becomes of the others.

mod aks;
mod bolt;
mod diverse;
mod spread;

use burn::tensor::{DType, Tensor};
use longvu_core::ops;

pub use self::{
    aks::Aks,
    bolt::Bolt,
    diverse::{KCenter, Mmr},
    spread::{RandomFrames, UniformFrames},
};
use crate::StageError;

/// Frames to choose from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Candidates<'a> {
    /// A score of each frame, higher for those that fit the question better; all numbers.
    pub scores: &'a [f32],
    /// The frames at low resolution, `[frames, tokens, hidden_size]`, as the scorer saw them.
    pub low_tokens: Tensor<3>,
}

impl<'a> Candidates<'a> {
    /// Frames with their scores and their tokens at low resolution.
    pub fn new(scores: &'a [f32], low_tokens: Tensor<3>) -> Self {
        Self { scores, low_tokens }
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.scores.len()
    }

    /// Scores from 0 to 1, the least and the greatest; `None` where all are alike.
    pub fn scaled(&self) -> Option<Vec<f64>> {
        let bound = |start: f32, pick: fn(f32, f32) -> f32| f64::from(self.scores.iter().copied().fold(start, pick));
        let (least, most) = (bound(f32::INFINITY, f32::min), bound(f32::NEG_INFINITY, f32::max));
        let range = most - least;
        (range > 0.0 && range.is_finite())
            .then(|| self.scores.iter().map(|&score| (f64::from(score) - least) / range).collect())
    }

    /// Cosine similarity of each two frames' mean tokens, row by row: `frames * frames` numbers.
    pub fn similarity(&self) -> Vec<f32> {
        let [frames, _, hidden] = self.low_tokens.dims();
        let means = self.low_tokens.clone().cast(DType::F32).mean_dim(1);
        ops::cosine_similarity(means.reshape([frames, hidden]))
    }
}

/// What becomes of the frames that are not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Others {
    /// They stay at low resolution, as in LongVU.
    #[default]
    LowResolution,
    /// They go.
    Dropped,
}

/// Picks frames by their scores. It sees the question through those, and runs for each question anew, so that a video is
/// encoded once for all of them.
pub trait FramePicker: Send + Sync {
    /// The positions of `count` frames or fewer, ascending and each once.
    ///
    /// # Errors
    /// The picker's own, which reach the caller of the pipeline as the source of [`Error::Stage`](crate::Error::Stage).
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError>;

    /// What becomes of the frames that are not picked.
    fn others(&self) -> Others {
        Others::LowResolution
    }
}

/// LongVU's choice: the frames of the highest scores; equal ones go to the earlier frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopK {
    /// What becomes of the others.
    pub others: Others,
}

impl TopK {
    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for TopK {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        let mut picked = ranked(frames.scores);
        picked.truncate(count);
        picked.sort_unstable();
        Ok(picked)
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// Positions from the highest score down, the earlier of equal ones first.
fn ranked(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    fn pickers() -> Vec<(&'static str, Box<dyn FramePicker>)> {
        vec![
            ("top-k", Box::new(TopK::default())),
            ("bolt", Box::new(Bolt::default())),
            ("aks", Box::new(Aks::default())),
            ("mmr", Box::new(Mmr::default())),
            ("k-centre", Box::new(KCenter::default())),
            ("uniform", Box::new(UniformFrames::default())),
            ("random", Box::new(RandomFrames::default())),
        ]
    }

    proptest! {
        #[test]
        fn picks_are_ordered_distinct_in_budget_and_the_same_again(
            scores in prop::collection::vec(-2.0f32..2.0, 1..60), count in 1usize..70, alike in any::<bool>()
        ) {
            let scores = if alike { vec![0.5; scores.len()] } else { scores };
            let values: Vec<f32> = (0..scores.len() * 6).map(|i| ((i * 37 + 11) % 29) as f32 - 14.0).collect();
            let low = Tensor::from_data(TensorData::new(values, [scores.len(), 2, 3]), &Device::default());
            let frames = Candidates::new(&scores, low);
            for (name, picker) in pickers() {
                let picked = picker.pick(&frames, count).unwrap();
                prop_assert!(picked.is_sorted_by(|a, b| a < b), "{}: {:?}", name, picked);
                prop_assert!(!picked.is_empty() && picked.len() <= count, "{}: {:?}", name, picked);
                prop_assert!(picked.iter().all(|&frame| frame < scores.len()), "{}: {:?}", name, picked);
                prop_assert_eq!(&picked, &picker.pick(&frames, count).unwrap(), "{}", name);
                // Segments of AKS may have fewer frames than they may keep.
                if name != "aks" {
                    prop_assert_eq!(picked.len(), count.min(scores.len()), "{}", name);
                }
            }
        }
    }
}
