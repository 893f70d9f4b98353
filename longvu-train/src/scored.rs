//! The loss of tokens that are to be said.

use burn::tensor::Tensor;
use longvu_core::ops;

/// Scores of the vocabulary before each of some tokens, and what they are.
pub(crate) struct Scored {
    /// `[tokens, vocab_size]`.
    pub logits: Tensor<2>,
    /// As many ids.
    pub targets: Vec<u32>,
}

impl Scored {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// The sum of their cross-entropies, `[1]`.
    pub fn loss(self) -> Tensor<1> {
        let weights = vec![1.0; self.targets.len()];
        ops::cross_entropy(self.logits, &self.targets, &weights)
    }

    /// How many of them have the highest score.
    pub fn right(&self) -> usize {
        let best = self.logits.clone().argmax(1).into_data();
        best.iter::<i64>().zip(&self.targets).filter(|(best, target)| *best == i64::from(**target)).count()
    }
}
