//! Baselines that look at nothing: frames evenly spread, or drawn at random.

use super::{Candidates, FramePicker, Others};
use crate::StageError;

/// Of `m` frames those at `floor(i * m / count)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniformFrames {
    /// What becomes of the others.
    pub others: Others,
}

impl Default for UniformFrames {
    fn default() -> Self {
        Self { others: Others::Dropped }
    }
}

impl UniformFrames {
    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for UniformFrames {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        let all = frames.frames();
        let count = count.min(all);
        Ok((0..count).map(|i| i * all / count).collect())
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// Frames drawn at random, the same ones for the same number of frames and seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RandomFrames {
    /// Where the random numbers begin.
    pub seed: u64,
    /// What becomes of the others.
    pub others: Others,
}

impl Default for RandomFrames {
    fn default() -> Self {
        Self { seed: 0, others: Others::Dropped }
    }
}

impl RandomFrames {
    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`others`](Self::others).
    #[must_use]
    pub fn with_others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }
}

impl FramePicker for RandomFrames {
    fn pick(&self, frames: &Candidates<'_>, count: usize) -> Result<Vec<usize>, StageError> {
        let mut order: Vec<usize> = (0..frames.frames()).collect();
        let mut state = self.seed;
        let count = count.min(order.len());
        for place in 0..count {
            let left = (order.len() - place) as u64;
            // The high half of a product with a 64-bit number is even enough for any number of frames.
            let drawn = (u128::from(split_mix(&mut state)) * u128::from(left)) >> 64;
            order.swap(place, place + drawn as usize);
        }
        order.truncate(count);
        order.sort_unstable();
        Ok(order)
    }

    fn others(&self) -> Others {
        self.others
    }
}

/// The next number of SplitMix64 (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
