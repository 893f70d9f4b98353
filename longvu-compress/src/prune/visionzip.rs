//! VisionZip (arXiv 2412.04467): each frame's tokens that the tower attended to most, and few that take in the others.

use burn::tensor::Tensor;
use longvu_core::ops;

use super::{
    Visual,
    clusters::{means, most_alike},
    largest, normalised, values,
};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// Of each frame's `n = floor(r N)` tokens that stay, `n - round(c n)` are dominant: those that received the most attention in
/// the tower ([`TokenChunk::attention`]; SigLIP has no class token to ask). Of the `R` others, those at `0, s, 2s, …` with
/// `s = floor(R / round(c n))` are contextual: each of the rest goes to the contextual token of the highest cosine, which becomes
/// itself plus the mean of them. The paper takes the cosines of the tower's keys where here are those of the tokens.
///
/// Where all of a frame's tokens stay, none are merged. Frames of a chunk of 8 share what fits evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct VisionZip {
    /// Share of tokens that stay, `r`, 0.1112: 64 of 576. `None` leaves as many as fit.
    pub retained: Option<f64>,
    /// Share of contextual tokens among them, `c`, 0.15625: 10 of 64, and of the paper's other numbers as many.
    pub contextual: f64,
}

impl Default for VisionZip {
    fn default() -> Self {
        Self { retained: Some(0.1112), contextual: 0.15625 }
    }
}

impl VisionZip {
    /// Sets [`retained`](Self::retained).
    #[must_use]
    pub fn with_retained(mut self, retained: impl Into<Option<f64>>) -> Self {
        self.retained = retained.into();
        self
    }

    /// Sets [`contextual`](Self::contextual).
    #[must_use]
    pub fn with_contextual(mut self, contextual: f64) -> Self {
        self.contextual = contextual;
        self
    }
}

/// Tokens came without their attention.
#[derive(Debug, thiserror::Error)]
#[error("tokens are ranked by the attention that they received in the vision tower, and came without it")]
struct NoAttention;

impl TokenPruner for VisionZip {
    fn chunk(&self) -> usize {
        8
    }

    fn always(&self) -> bool {
        true
    }

    fn needs_attention(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (all, attention) = (visual.per_frame, visual.attention(chunk).ok_or(NoAttention)?);
        let (mut kept, mut merged) = (Vec::new(), Vec::new());
        for (frame, count) in visual.even_shares(self.retained).into_iter().enumerate() {
            let first = frame * all;
            let contextual = (count as f64 * self.contextual).round_ties_even() as usize;
            let contextual = if count == all { 0 } else { contextual.min(count) };
            let dominant = largest(&attention[first..first + all], count - contextual);
            kept.extend(dominant.iter().map(|i| first + i));
            if contextual > 0 {
                let rest: Vec<usize> = (0..all).filter(|i| !dominant.contains(i)).map(|i| first + i).collect();
                merged.push(gather(&visual, &rest, contextual));
            }
        }
        Ok(visual.kept_and_merged(chunk, kept, merged))
    }
}

/// `count` of a frame's tokens at even steps, with what they take in of the others.
fn gather(visual: &Visual, rest: &[usize], count: usize) -> (Vec<usize>, Tensor<2>) {
    let targets: Vec<usize> = rest.iter().copied().step_by((rest.len() / count).max(1)).take(count).collect();
    let others: Vec<usize> = rest.iter().copied().filter(|i| targets.binary_search(i).is_err()).collect();
    let tokens = visual.flat();
    let own = ops::select_rows(tokens.clone(), &targets);
    if others.is_empty() {
        return (targets, own);
    }
    let taken = ops::select_rows(tokens, &others);
    let cosine = normalised(taken.clone()).matmul(normalised(own.clone()).transpose());
    let (mean, _) = means(taken, &most_alike(&values(cosine), count), count);
    (targets, own + mean)
}
