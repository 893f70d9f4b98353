//! FastV (arXiv 2403.06764): visual tokens that leave the language model after its first layers.

use serde::Serialize;

use crate::prune::smallest;

/// After the first `k` layers of a prompt's way through the language model, of `N` visual tokens the `round(N (1 - r))` stay that
/// receive most attention from the prompt's last position in layer `k`, as the mean over heads of
/// `softmax(q_last · k_i / sqrt(d))`; of equal ones the earlier. The others are seen by no later layer, and have no place in its
/// key/value cache. Positions of what stays are those that they were.
///
/// As in the authors' code, halves are rounded to the even number. Of several videos and images in a prompt all tokens are ranked
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FastV {
    /// Layers that see every token, 2; 1 or more, and fewer than the model has.
    pub k: usize,
    /// Share of visual tokens that go, 0.5.
    pub r: f64,
}

impl Default for FastV {
    fn default() -> Self {
        Self { k: 2, r: 0.5 }
    }
}

impl FastV {
    /// Sets [`k`](Self::k).
    #[must_use]
    pub fn with_k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Sets [`r`](Self::r).
    #[must_use]
    pub fn with_r(mut self, r: f64) -> Self {
        self.r = r;
        self
    }

    /// How many of `visual` tokens stay.
    pub fn keeps(&self, visual: usize) -> usize {
        // A share that is no number, or none from 0 to 1, keeps all or none.
        ((visual as f64 * (1.0 - self.r)).round_ties_even() as usize).min(visual)
    }

    /// The places of those that stay, ascending, by the attention that each receives.
    pub fn kept(&self, attention: &[f32]) -> Vec<usize> {
        let less: Vec<f64> = attention.iter().map(|&paid| -f64::from(paid)).collect();
        let mut kept = smallest(&less, self.keeps(attention.len()));
        kept.sort_unstable();
        kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_go_to_the_even_number() {
        for (visual, r, keeps) in [(5, 0.5, 2), (7, 0.5, 4), (10, 0.25, 8), (9, 0.0, 9), (9, 1.0, 0), (0, 0.5, 0)] {
            assert_eq!(FastV::default().with_r(r).keeps(visual), keeps, "{visual} {r}");
        }
    }

    #[test]
    fn what_gets_most_attention_stays() {
        let kept = |r: f64| FastV::default().with_r(r).kept(&[0.1, 0.4, 0.2, 0.4, 0.0, 0.1]);
        assert_eq!(kept(0.5), [1, 2, 3]);
        assert_eq!(kept(0.83), [1]);
        assert_eq!(kept(1.0 / 3.0), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn the_budget_and_the_order_are_kept_and_the_same_again(
            attention in prop::collection::vec(0.0f32..1.0, 0..60), r in 0.0f64..=1.0, alike in any::<bool>()
        ) {
            let attention = if alike { vec![0.25; attention.len()] } else { attention };
            let fastv = FastV::default().with_r(r);
            let kept = fastv.kept(&attention);
            prop_assert_eq!(kept.len(), fastv.keeps(attention.len()));
            prop_assert!((kept.len() as f64 - (1.0 - r) * attention.len() as f64).abs() <= 0.5);
            prop_assert!(kept.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(&kept, &fastv.kept(&attention));
            let least = kept.iter().map(|&i| attention[i]).fold(f32::INFINITY, f32::min);
            let gone = (0..attention.len()).filter(|i| kept.binary_search(i).is_err());
            prop_assert!(gone.into_iter().all(|i| attention[i] <= least));
        }
    }
}
