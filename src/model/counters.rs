//! Counts of the work that a model has done, for proofs that work is not done twice.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Work that a model has done since it was loaded, by all its clones together.
///
/// Counts only grow; the difference of two readings is the work in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WorkCounters {
    /// Frames that sources delivered.
    pub frames_decoded: u64,
    /// Frames resized for both towers.
    pub frames_resized: u64,
    /// Frames through DINOv2.
    pub dinov2_frames: u64,
    /// Frames that DINOv2 was spared, because they [repeat](crate::Repeats) one that went through.
    pub dinov2_repeats: u64,
    /// Frames through SigLIP.
    pub siglip_frames: u64,
    /// Frames that SigLIP and the aggregator were spared.
    pub siglip_repeats: u64,
    /// Frames through the aggregator.
    pub aggregator_frames: u64,
    /// Prompt positions pushed through the language model; those that a [`PromptCache`](crate::PromptCache) had are
    /// not among them.
    pub prompt_positions: u64,
}

/// The live counters.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub frames_decoded: Counter,
    pub frames_resized: Counter,
    pub dinov2_frames: Counter,
    pub dinov2_repeats: Counter,
    pub siglip_frames: Counter,
    pub siglip_repeats: Counter,
    pub aggregator_frames: Counter,
    pub prompt_positions: Counter,
}

impl Work {
    /// The work done so far.
    pub fn read(&self) -> WorkCounters {
        WorkCounters {
            frames_decoded: self.frames_decoded.get(),
            frames_resized: self.frames_resized.get(),
            dinov2_frames: self.dinov2_frames.get(),
            dinov2_repeats: self.dinov2_repeats.get(),
            siglip_frames: self.siglip_frames.get(),
            siglip_repeats: self.siglip_repeats.get(),
            aggregator_frames: self.aggregator_frames.get(),
            prompt_positions: self.prompt_positions.get(),
        }
    }
}

/// A count that several threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
