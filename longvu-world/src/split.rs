//! Seeds for training, validation and test.

use serde::{Deserialize, Serialize};

/// A share of all seeds. Shares have no seed in common.
///
/// ```
/// use longvu_world::Split;
/// let seed = Split::Test.seed(17);
/// assert_eq!(Split::of(seed), Some(Split::Test));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Split {
    /// To train on.
    Train,
    /// To choose settings by.
    Validation,
    /// To measure with.
    Test,
}

impl Split {
    /// The seed at a place of this split: `4 * index` and a remainder that is the split's own. Distinct places below 2^62
    /// have distinct seeds; higher ones begin again.
    #[must_use]
    pub fn seed(self, index: u64) -> u64 {
        index.wrapping_mul(4) + self as u64
    }

    /// The split that a seed belongs to. A quarter of all seeds belong to none.
    #[must_use]
    pub fn of(seed: u64) -> Option<Self> {
        [Self::Train, Self::Validation, Self::Test].into_iter().find(|split| seed % 4 == *split as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_seed_has_one_split_and_one_place(one in 0_u64..1 << 62, other in 0_u64..1 << 62) {
            for split in [Split::Train, Split::Validation, Split::Test] {
                prop_assert_eq!(Split::of(split.seed(one)), Some(split));
                prop_assert_eq!(split.seed(one) == split.seed(other), one == other);
            }
        }
    }
}
