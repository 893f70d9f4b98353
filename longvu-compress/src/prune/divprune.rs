//! DivPrune (arXiv 2503.02175): the tokens of a chunk that differ most from each other.

use super::Visual;
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// Max-min diversity with `d = 1 - cos`: first the token whose nearest other is farthest, and then each time the one whose
/// nearest kept token is farthest, of equal ones the earlier.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DivPrune {
    /// Frames whose tokens are compared. The paper has single pictures: distances of a chunk's tokens are as many numbers as
    /// the square of their count.
    pub chunk: usize,
    /// Share of tokens that stay, 0.098 as in the paper's runs; `None` leaves as many as fit.
    pub retained: Option<f64>,
}

impl Default for DivPrune {
    fn default() -> Self {
        Self { chunk: 8, retained: Some(0.098) }
    }
}

impl DivPrune {
    /// Sets [`chunk`](Self::chunk).
    #[must_use]
    pub fn with_chunk(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Sets [`retained`](Self::retained).
    #[must_use]
    pub fn with_retained(mut self, retained: impl Into<Option<f64>>) -> Self {
        self.retained = retained.into();
        self
    }
}

impl TokenPruner for DivPrune {
    fn chunk(&self) -> usize {
        self.chunk
    }

    fn always(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (count, hidden) = (visual.count(), visual.tokens.dims()[2]);
        let most = visual.budget(self.retained);
        if most == 0 {
            return Ok(visual.kept(vec![Vec::new(); visual.frames]));
        }
        let unit = visual.normalised().reshape([count, hidden]);
        let cosine: Vec<f32> = unit.clone().matmul(unit.transpose()).into_data().iter::<f32>().collect();
        Ok(visual.kept_of_all(diverse(&cosine, count, most)))
    }
}

/// `most` of `count` tokens by their cosines, row by row.
fn diverse(cosine: &[f32], count: usize, most: usize) -> Vec<usize> {
    let mut nearest: Vec<f32> = (0..count)
        .map(|i| (0..count).filter(|&j| j != i).map(|j| cosine[i * count + j]).fold(f32::NEG_INFINITY, f32::max))
        .collect();
    let mut free: Vec<usize> = (0..count).collect();
    let mut kept = Vec::with_capacity(most);
    while kept.len() < most && !free.is_empty() {
        let mut best = 0;
        for place in 1..free.len() {
            if nearest[free[place]] < nearest[free[best]] {
                best = place;
            }
        }
        let token = free.remove(best);
        // From the second on what counts is how near kept tokens are, and none is but this.
        let first = kept.is_empty();
        for &other in &free {
            let near = cosine[token * count + other];
            nearest[other] = if first { near } else { nearest[other].max(near) };
        }
        kept.push(token);
    }
    kept
}
