//! A video or image after the towers: everything that answering needs.

use std::time::Duration;

use burn::tensor::Tensor;
use serde::Serialize;

use crate::{VisualKind, compress::TemporalReport, vision::SizePair};

/// When a kept frame was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FrameInfo {
    /// Position among the frames that were sampled.
    pub sample: usize,
    /// Position among the video's frames.
    pub index: usize,
    /// Seconds from the start.
    pub timestamp: f64,
}

/// Seconds that each step of encoding took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct EncodeTimings {
    /// Waiting for decoded frames.
    pub decode: f64,
    /// Padding, resizing and normalising.
    pub preprocess: f64,
    /// The DINOv2 tower.
    pub dinov2: f64,
    /// The temporal stage.
    pub temporal: f64,
    /// The SigLIP tower.
    pub siglip: f64,
    /// The spatial vision aggregator.
    pub aggregator: f64,
}

impl EncodeTimings {
    /// All steps together.
    pub fn total(&self) -> f64 {
        self.decode + self.preprocess + self.dinov2 + self.temporal + self.siglip + self.aggregator
    }
}

/// Adds the time since `start` to `slot`, in seconds.
pub(crate) fn add(slot: &mut f64, start: std::time::Instant) {
    *slot += Duration::as_secs_f64(&start.elapsed());
}

/// A video or image after decoding, the temporal stage, both towers and the aggregator.
///
/// It does not depend on the question: encode once, ask many times. The query-guided and spatial stages and the
/// language model run for each question.
#[derive(Clone)]
pub struct EncodedVideo {
    pub(crate) kind: VisualKind,
    /// Aggregated frames, `[held, cells, channels]`.
    pub(crate) features: Tensor<3>,
    pub(crate) frames: Vec<FrameInfo>,
    /// Frames that came in.
    pub(crate) sampled: usize,
    /// Rows of `features` that a reduction keeps.
    pub(crate) reduced: Vec<usize>,
    pub(crate) size: SizePair,
    pub(crate) dimensions: (u32, u32),
    pub(crate) temporal: TemporalReport,
    pub(crate) timings: EncodeTimings,
}

impl EncodedVideo {
    /// Whether it was a video or an image.
    pub fn kind(&self) -> VisualKind {
        self.kind
    }

    /// Frames that were sampled from the video.
    pub fn sampled_frames(&self) -> usize {
        self.sampled
    }

    /// The frames held, ascending in time.
    ///
    /// These are the temporal stage's choice, or all sampled frames when a short prompt leaves room for all; a longer
    /// prompt may then use fewer of them.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }

    /// What the temporal stage said of each sampled frame.
    pub fn temporal_report(&self) -> &TemporalReport {
        &self.temporal
    }

    /// Aggregated frames, `[frames, cells, channels]`: 144 cells of 1024 channels in the released models.
    pub fn features(&self) -> Tensor<3> {
        self.features.clone()
    }

    /// Width and height of the frames in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    /// Bytes that the encoded video takes on its device.
    pub fn memory(&self) -> usize {
        let [frames, cells, channels] = self.features.dims();
        frames * cells * channels * self.features.dtype().size()
    }

    /// Seconds that each step took.
    pub fn timings(&self) -> EncodeTimings {
        self.timings
    }
}

impl std::fmt::Debug for EncodedVideo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedVideo")
            .field("kind", &self.kind)
            .field("sampled", &self.sampled)
            .field("held", &self.frames.len())
            .field("dimensions", &self.dimensions)
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}
