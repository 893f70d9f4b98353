//! Efficient Video Sampling, EVS (arXiv 2510.14624): tokens that differ most from the same place of the frame before.

use burn::tensor::Tensor;

use super::{Visual, smallest, values};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// A token's novelty is `d(t, i) = 1 - cos(v(t, i), v(t-1, i))`, in the first frame without bound. Of `T` frames of `N` tokens
/// the `max(N, floor(T N (1 - q)))` most novel of the whole video stay; of equally novel ones the earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Evs {
    /// Share of tokens that go, 0.75; `None` leaves as many as fit.
    pub q: Option<f64>,
}

impl Default for Evs {
    fn default() -> Self {
        Self { q: Some(0.75) }
    }
}

impl Evs {
    /// Sets [`q`](Self::q).
    #[must_use]
    pub fn with_q(mut self, q: impl Into<Option<f64>>) -> Self {
        self.q = q.into();
        self
    }
}

impl TokenPruner for Evs {
    fn chunk(&self) -> usize {
        usize::MAX
    }

    fn always(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (frames, first) = (visual.frames, visual.per_frame.min(visual.room));
        let mut familiar = vec![f64::NEG_INFINITY; visual.per_frame];
        if frames > 1 {
            let unit = visual.normalised();
            let (before, after) = (unit.clone().narrow(0, 0, frames - 1), unit.narrow(0, 1, frames - 1));
            let cosine: Tensor<3> = (before * after).sum_dim(2);
            familiar.extend(values(cosine));
        }
        let count = visual.budget(self.q.map(|q| 1.0 - q)).max(first);
        Ok(visual.kept_of_all(smallest(&familiar, count)))
    }
}
