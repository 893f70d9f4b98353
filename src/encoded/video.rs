//! A video or image after the towers: everything that answering needs.

use std::{collections::BTreeMap, time::Duration};

use burn::tensor::{DType, Tensor};
use longvu_core::ops::select_rows;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result, VisualKind, compress::TemporalReport, encoded::settings::EncodingSettings, vision::SizePair,
};

/// When a sampled frame was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Position among the frames that were sampled.
    pub sample: usize,
    /// Position among the video's frames.
    pub index: usize,
    /// Seconds from the start.
    pub timestamp: f64,
}

/// Seconds that each step of encoding was busy.
///
/// Decoding and resizing run on threads of their own, beside each other and beside the towers: the steps together take
/// longer than [`EncodeTimings::wall`]. A step that shares the processor's cores with another is slowed by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EncodeTimings {
    /// The source of frames: reading, decoding, converting to RGB.
    pub decode: f64,
    /// Padding and resizing for both towers.
    pub preprocess: f64,
    /// The towers' wait for frames: what decoding and resizing cost beyond what the towers hid.
    pub wait: f64,
    /// The DINOv2 tower, normalising its input included.
    pub dinov2: f64,
    /// The temporal stage.
    pub temporal: f64,
    /// Writing waiting frames to the temporary file, and reading them.
    pub spill: f64,
    /// The SigLIP tower, normalising its input included.
    pub siglip: f64,
    /// The spatial vision aggregator.
    pub aggregator: f64,
    /// From start to end.
    pub wall: f64,
}

impl EncodeTimings {
    /// From start to end: [`EncodeTimings::wall`].
    pub fn total(&self) -> f64 {
        self.wall
    }
}

/// How many frames went through the towers, and how many did not because they [repeat](crate::Repeats) one that did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TowerFrames {
    /// Frames through DINOv2.
    pub dinov2: usize,
    /// Frames that have what DINOv2 made of another.
    pub dinov2_repeats: usize,
    /// Frames through SigLIP and the aggregator.
    pub siglip: usize,
    /// Frames that have what they made of another.
    pub siglip_repeats: usize,
}

/// Adds the time since `start` to `slot`, in seconds.
pub(crate) fn add(slot: &mut f64, start: web_time::Instant) {
    *slot += Duration::as_secs_f64(&start.elapsed());
}

/// Rows of features at the given positions.
pub(crate) fn select<const D: usize>(features: Tensor<D>, rows: &[usize]) -> Tensor<D> {
    if rows.len() == features.dims()[0] {
        return features;
    }
    select_rows(features, rows)
}

/// A video or image after decoding, the temporal stage, both towers and the aggregator.
///
/// It does not depend on the question: encode once, ask many times. The query-guided and spatial stages and the
/// language model run for each question. [`EncodedVideo::save`] keeps it for other runs.
#[derive(Clone)]
pub struct EncodedVideo {
    pub(crate) kind: VisualKind,
    /// Aggregated frames, `[held, cells, channels]`.
    pub(crate) features: Tensor<3>,
    /// What SigLIP attended to in them, `[held, cells]` in f32, if it was encoded for a spatial stage that goes by it.
    pub(crate) attention: Option<Tensor<2>>,
    /// The frames of `features`.
    pub(crate) frames: Vec<FrameInfo>,
    /// Frames that came in.
    pub(crate) samples: Vec<FrameInfo>,
    /// Rows of `features` that a reduction keeps.
    pub(crate) reduced: Vec<usize>,
    pub(crate) dimensions: (u32, u32),
    pub(crate) temporal: TemporalReport,
    pub(crate) timings: EncodeTimings,
    pub(crate) towers: TowerFrames,
    /// What shaped it.
    pub(crate) settings: EncodingSettings,
    pub(crate) notes: BTreeMap<String, String>,
}

impl EncodedVideo {
    /// Whether it was a video or an image.
    pub fn kind(&self) -> VisualKind {
        self.kind
    }

    /// Frames that were sampled from the video.
    pub fn sampled_frames(&self) -> usize {
        self.samples.len()
    }

    /// The frames that were sampled, ascending in time.
    pub fn samples(&self) -> &[FrameInfo] {
        &self.samples
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

    /// Attention that the cells of [`features`](Self::features) received in the SigLIP tower, `[frames, cells]`: see
    /// [`Siglip::forward_with_attention`](crate::vision::Siglip::forward_with_attention). Only what is encoded by a model whose
    /// spatial stage [needs](crate::compress::TokenPruner::needs_attention) it has it.
    pub fn attention(&self) -> Option<Tensor<2>> {
        self.attention.clone()
    }

    /// Sets [`attention`](Self::attention), of features that did not come from this model's towers, for example.
    ///
    /// # Shapes
    /// - `attention`: `[frames, cells]`, as of [`features`](Self::features)
    ///
    /// # Errors
    /// [`Error::Setting`] for another shape.
    pub fn with_attention(mut self, attention: Tensor<2>) -> Result<Self> {
        let [frames, cells, _] = self.features.dims();
        if attention.dims() != [frames, cells] {
            return Err(Error::Setting {
                name: "attention",
                value: format!("a tensor of {:?}", attention.dims()),
                expected: "give each cell of each frame held one number",
            });
        }
        self.attention = Some(attention.cast(DType::F32));
        Ok(self)
    }

    /// Width and height of the frames in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    /// Bytes that the encoded video takes on its device.
    pub fn memory(&self) -> usize {
        let [frames, cells, channels] = self.features.dims();
        let attention = self.attention.as_ref().map_or(0, |attention| attention.dims().iter().product::<usize>() * 4);
        frames * cells * channels * self.features.dtype().size() + attention
    }

    /// Seconds that each step took; zeros for a loaded file.
    pub fn timings(&self) -> EncodeTimings {
        self.timings
    }

    /// Frames that went through the towers, and frames that repeat them.
    pub fn tower_frames(&self) -> TowerFrames {
        self.towers
    }

    /// What is to be known of frames that were taken for others which they are not quite like; `None` where there are none.
    pub fn repeats_remark(&self) -> Option<String> {
        let (repeats, levels) = (self.towers.dinov2_repeats, self.settings.repeat_levels);
        (repeats > 0 && levels > 0).then(|| {
            let frames = self.samples.len();
            format!("{repeats} of {frames} frames were taken for an earlier one that differs by at most {levels} of 255 levels")
        })
    }

    /// Remarks by name that a saved file keeps: where the video came from, how it was sampled.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.notes
    }

    /// Adds a remark, which does not matter for what the encoded video can be used for.
    #[must_use]
    pub fn with_note(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.notes.insert(name.into(), text.into());
        self
    }

    /// Sides in the order in which padding is cut.
    pub(crate) fn size_pair(&self) -> SizePair {
        self.kind.size_pair(self.dimensions)
    }
}

impl std::fmt::Debug for EncodedVideo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodedVideo")
            .field("kind", &self.kind)
            .field("sampled", &self.samples.len())
            .field("held", &self.frames.len())
            .field("dimensions", &self.dimensions)
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}
