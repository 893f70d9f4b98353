//! DyCoke (arXiv 2411.15024), its part before the language model: of each four frames one stays whole.

use burn::tensor::Tensor;

use super::{Visual, smallest, values};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// Frames come in fours. The second is compared with the first, the fourth with the third, and then the third with the
/// first, place by place; each keeps its `floor((1 - K) N)` tokens that are least similar, of equal ones the earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DyCoke {
    /// Share of a compared frame's tokens that go, 0.7; `None` leaves as many as fit.
    pub k: Option<f64>,
}

impl Default for DyCoke {
    fn default() -> Self {
        Self { k: Some(0.7) }
    }
}

impl DyCoke {
    /// Sets [`k`](Self::k).
    #[must_use]
    pub fn with_k(mut self, k: impl Into<Option<f64>>) -> Self {
        self.k = k.into();
        self
    }
}

/// What each frame of four is compared with.
const COMPARED: [(usize, usize); 3] = [(1, 0), (2, 0), (3, 2)];

impl TokenPruner for DyCoke {
    fn chunk(&self) -> usize {
        4
    }

    fn always(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (frames, all) = (visual.frames, visual.per_frame);
        let fitting = visual.room.saturating_sub(all) / frames.saturating_sub(1).max(1);
        let most = self.k.map_or(fitting, |k| ((1.0 - k) * all as f64 + 1e-9) as usize).min(fitting).min(all);
        let mut kept = vec![(0..all.min(visual.room)).collect::<Vec<usize>>()];
        let unit = visual.normalised();
        for (frame, with) in COMPARED.into_iter().filter(|(frame, _)| *frame < frames) {
            let [own, other] = [frame, with].map(|frame| unit.clone().narrow(0, frame, 1));
            let cosine: Tensor<3> = (own * other).sum_dim(2);
            let mut least = smallest(&values(cosine), most);
            least.sort_unstable();
            kept.push(least);
        }
        Ok(visual.kept(kept))
    }
}
