//! From frames to an [`EncodedVideo`]: decode, DINOv2, temporal stage, SigLIP, aggregator.
//!
//! Frames arrive in windows of the temporal stage. DINOv2 sees every frame; what the stage drops goes at once, so
//! that memory is set by the window and by what is kept. SigLIP sees the kept frames only.

use std::{sync::Arc, time::Instant};

use burn::tensor::{Int, Tensor, TensorData};

use crate::{
    EncodeTimings, EncodedVideo, Error, Frame, FrameInfo, IntoClip, LongVu, Result, VisualKind,
    compress::{TemporalReduction, TemporalReport},
    encoded::add,
    frames::Clip,
    vision::{Dinov2, Siglip, SizePair},
};

/// Prompt tokens of the shortest conceivable prompt: the placeholder alone.
const SHORTEST_PROMPT: usize = 1;

/// How far encoding has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeProgress {
    /// Frames that went through DINOv2 and the temporal stage, of those expected.
    Looked {
        /// Frames so far.
        done: usize,
        /// Frames expected, where the source says.
        total: Option<usize>,
    },
    /// Kept frames that went through SigLIP and the aggregator, of all kept ones.
    Aggregated {
        /// Frames so far.
        done: usize,
        /// Frames kept.
        total: usize,
    },
}

impl LongVu {
    /// Encodes a video, an image, or frames of the caller's.
    ///
    /// # Errors
    /// A source that cannot be read or has no frames, and frames of unusable sizes.
    pub fn encode(&self, input: impl IntoClip) -> Result<EncodedVideo> {
        self.encode_with(input, |_| {})
    }

    /// The same, telling `progress` how far it is.
    ///
    /// # Errors
    /// As [`LongVu::encode`].
    pub fn encode_with(&self, input: impl IntoClip, mut progress: impl FnMut(EncodeProgress)) -> Result<EncodedVideo> {
        let clip = input.into_clip()?;
        let mut encoder = Encoder::new(self, clip.kind)?;
        let Clip { kind, expected, mut frames } = clip;
        loop {
            let window = encoder.decode_window(frames.as_mut())?;
            if window.is_empty() {
                break;
            }
            encoder.look(window, |done| progress(EncodeProgress::Looked { done, total: expected }));
        }
        let size = encoder.size.ok_or(Error::NoFrames)?;
        let pair = size_pair(kind, size);
        encoder.finish(pair, size, &mut progress)
    }

    /// Builds an [`EncodedVideo`] from the towers' features, for studies of what comes after them.
    ///
    /// # Shapes
    /// - `siglip`, `dinov2`: `[frames, feature_side^2, channels]` of each tower, for every sampled frame
    ///
    /// # Errors
    /// No frames, or a stage that keeps none.
    pub fn encode_features(
        &self,
        kind: VisualKind,
        siglip: Tensor<3>,
        dinov2: Tensor<3>,
        (width, height): (u32, u32),
    ) -> Result<EncodedVideo> {
        let sampled = dinov2.dims()[0];
        if sampled == 0 {
            return Err(Error::NoFrames);
        }
        let stages = &self.parts.stages;
        let temporal = match kind {
            VisualKind::Video => TemporalReduction::run(stages.selector.as_ref(), dinov2.clone()),
            VisualKind::Image => whole(sampled),
        };
        check_selection(&temporal)?;
        let size = size_pair(kind, (width, height));
        let features = self.parts.aggregator.forward(siglip, dinov2, size);
        let frames = (0..sampled).map(|i| FrameInfo { sample: i, index: i, timestamp: 0.0 }).collect();
        Ok(EncodedVideo {
            kind,
            features,
            frames,
            sampled,
            reduced: temporal.selected.clone(),
            size,
            dimensions: (width, height),
            temporal,
            timings: EncodeTimings::default(),
        })
    }
}

/// The report of a stage that did not run.
fn whole(frames: usize) -> TemporalReport {
    TemporalReport { frames, scores: Vec::new(), selected: (0..frames).collect() }
}

fn check_selection(report: &TemporalReport) -> Result<()> {
    if !report.selected.is_empty() {
        return Ok(());
    }
    Err(Error::Setting {
        name: "the temporal stage's threshold",
        value: "so low that it drops every frame".into(),
        expected: "raise it; similarities lie between -1 and 1, and 0.83 is the published value",
    })
}

fn size_pair(kind: VisualKind, (width, height): (u32, u32)) -> SizePair {
    match kind {
        VisualKind::Video => SizePair::of_video(width, height),
        VisualKind::Image => SizePair::of_image(width, height),
    }
}

/// A frame ready for both towers.
struct Prepared {
    info: FrameInfo,
    /// `[size, size, 3]` bytes.
    siglip: Vec<u8>,
    dinov2: Vec<u8>,
}

/// Frames of one window that are still wanted.
struct Held {
    frames: Vec<(FrameInfo, Vec<u8>)>,
    /// `[frames, cells, channels]` of DINOv2.
    dinov2: Tensor<3>,
}

struct Encoder<'a> {
    model: &'a LongVu,
    /// Held until the last window is through, and gone before SigLIP comes.
    tower: Arc<Dinov2>,
    kind: VisualKind,
    reduction: TemporalReduction<'a>,
    held: Vec<Held>,
    /// Positions in each held window that a reduction keeps; needed while every frame is held.
    selections: Vec<Vec<usize>>,
    seen: usize,
    dropping: bool,
    size: Option<(u32, u32)>,
    timings: EncodeTimings,
}

impl<'a> Encoder<'a> {
    fn new(model: &'a LongVu, kind: VisualKind) -> Result<Self> {
        Ok(Self {
            model,
            tower: model.dinov2()?,
            kind,
            reduction: TemporalReduction::new(model.parts.stages.selector.as_ref()),
            held: Vec::new(),
            selections: Vec::new(),
            seen: 0,
            dropping: false,
            size: None,
            timings: EncodeTimings::default(),
        })
    }

    /// Decodes and resizes the next window of frames.
    fn decode_window(&mut self, frames: &mut dyn Iterator<Item = Result<Frame>>) -> Result<Vec<Prepared>> {
        let mut window = Vec::new();
        while window.len() < self.model.parts.stages.selector.window() {
            let start = Instant::now();
            let frame = frames.next().transpose()?;
            add(&mut self.timings.decode, start);
            let Some(frame) = frame else { break };
            self.size.get_or_insert((frame.width, frame.height));
            let start = Instant::now();
            let sample = self.seen + window.len();
            let parts = &self.model.parts;
            let (rgb, width, height) = (&frame.rgb, frame.width, frame.height);
            window.push(Prepared {
                info: FrameInfo { sample, index: frame.index, timestamp: frame.timestamp },
                siglip: parts.siglip.preprocessor.resize(rgb, width, height)?,
                dinov2: parts.dinov2.preprocessor.resize(rgb, width, height)?,
            });
            add(&mut self.timings.preprocess, start);
        }
        Ok(window)
    }

    /// Runs DINOv2 and the temporal stage on a window; `progress` gets the number of frames looked at so far.
    fn look(&mut self, window: Vec<Prepared>, progress: impl FnMut(usize)) {
        let features = self.dinov2(&window, progress);
        let start = Instant::now();
        let kept = match self.kind {
            VisualKind::Video => self.reduction.push(features.clone()).kept,
            VisualKind::Image => (0..window.len()).collect(),
        };
        add(&mut self.timings.temporal, start);
        self.seen += window.len();
        let frames = window.into_iter().map(|p| (p.info, p.siglip)).collect();
        self.held.push(Held { frames, dinov2: features });
        self.selections.push(kept);
        self.drop_redundant();
    }

    fn dinov2(&mut self, window: &[Prepared], mut progress: impl FnMut(usize)) -> Tensor<3> {
        let (parts, start) = (&self.model.parts, Instant::now());
        let side = parts.config.feature_side();
        let mut features = Vec::new();
        for batch in window.chunks(parts.stages.tower_batch) {
            let pixels: Vec<&[u8]> = batch.iter().map(|p| p.dinov2.as_slice()).collect();
            let pixel_values = parts.dinov2.preprocessor.pixel_values(&pixels, &parts.device, parts.dtype);
            features.push(self.tower.features(pixel_values, side));
            progress(batch[batch.len() - 1].info.sample + 1);
        }
        let features = Tensor::cat(features, 0);
        add(&mut self.timings.dinov2, start);
        features
    }

    /// Drops what the temporal stage does not keep, once the video is too long for any prompt to use every frame.
    fn drop_redundant(&mut self) {
        let stages = &self.model.parts.stages;
        let limit = stages.budget.temporal_limit(SHORTEST_PROMPT);
        self.dropping |= self.kind == VisualKind::Video && stages.selector.applies(self.seen, limit);
        if !self.dropping {
            return;
        }
        let selections = std::mem::take(&mut self.selections);
        let first = self.held.len() - selections.len();
        for (held, kept) in self.held[first..].iter_mut().zip(selections) {
            held.keep(&kept);
        }
        self.held.retain(|held| !held.frames.is_empty());
    }

    /// Runs SigLIP and the aggregator on the frames that are left.
    fn finish(
        mut self,
        pair: SizePair,
        dimensions: (u32, u32),
        progress: &mut impl FnMut(EncodeProgress),
    ) -> Result<EncodedVideo> {
        let temporal = match self.kind {
            VisualKind::Video => self.reduction.finish(),
            VisualKind::Image => whole(self.seen),
        };
        check_selection(&temporal)?;
        let wanted = |info: &FrameInfo| !self.dropping || temporal.selected.binary_search(&info.sample).is_ok();
        let total: usize = self.held.iter().flat_map(|h| &h.frames).filter(|(info, _)| wanted(info)).count();
        let (mut features, mut frames) = (Vec::new(), Vec::with_capacity(total));
        drop(self.tower);
        let siglip = self.model.siglip()?;
        for mut held in std::mem::take(&mut self.held) {
            let kept: Vec<usize> = (0..held.frames.len()).filter(|&i| wanted(&held.frames[i].0)).collect();
            if kept.is_empty() {
                continue;
            }
            held.keep(&kept);
            aggregate(self.model, &siglip, &held, pair, &mut features, &mut self.timings);
            frames.extend(held.frames.into_iter().map(|(info, _)| info));
            progress(EncodeProgress::Aggregated { done: frames.len(), total });
        }
        let reduced =
            (0..frames.len()).filter(|&i| temporal.selected.binary_search(&frames[i].sample).is_ok()).collect();
        Ok(EncodedVideo {
            kind: self.kind,
            features: Tensor::cat(features, 0),
            frames,
            sampled: self.seen,
            reduced,
            size: pair,
            dimensions,
            temporal,
            timings: self.timings,
        })
    }
}

impl Held {
    /// Keeps the frames at the given positions and lets go of the rest.
    fn keep(&mut self, kept: &[usize]) {
        if kept.len() == self.frames.len() {
            return;
        }
        if kept.is_empty() {
            return self.frames.clear();
        }
        let mut position = 0;
        self.frames.retain(|_| {
            position += 1;
            kept.binary_search(&(position - 1)).is_ok()
        });
        let indices: Vec<i64> = kept.iter().map(|&i| i as i64).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [kept.len()]), &self.dinov2.device());
        // A selection is a copy: the window's storage is freed.
        self.dinov2 = self.dinov2.clone().select(0, indices);
    }
}

/// SigLIP and the aggregator on the frames of one window, batch by batch.
fn aggregate(
    model: &LongVu,
    tower: &Siglip,
    held: &Held,
    size: SizePair,
    out: &mut Vec<Tensor<3>>,
    timings: &mut EncodeTimings,
) {
    let parts = &model.parts;
    let side = parts.config.feature_side();
    let batch = parts.stages.tower_batch;
    for (i, frames) in held.frames.chunks(batch).enumerate() {
        let start = Instant::now();
        let pixels: Vec<&[u8]> = frames.iter().map(|(_, pixels)| pixels.as_slice()).collect();
        let pixel_values = parts.siglip.preprocessor.pixel_values(&pixels, &parts.device, parts.dtype);
        let siglip = tower.features(pixel_values, side);
        add(&mut timings.siglip, start);
        let start = Instant::now();
        let dinov2 = held.dinov2.clone().narrow(0, i * batch, frames.len());
        out.push(parts.aggregator.forward(siglip, dinov2, size));
        add(&mut timings.aggregator, start);
    }
}
