//! Stage 1: frames that look like their neighbours go, judged by DINOv2 (section 3.1 of the paper).

use std::fmt;

use burn::tensor::Tensor;
use longvu_core::ops;
use serde::Serialize;

use crate::{
    Error, Result, StageError, StageName,
    check::{Returned, frames_at_once},
};

/// What a selector says of one window of frames.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowSelection {
    /// Redundancy of each frame: its mean similarity with the window.
    pub scores: Vec<f32>,
    /// Kept frames, as positions in the window, ascending.
    pub kept: Vec<usize>,
}

impl WindowSelection {
    /// The scores of a window's frames, and which of them are kept.
    pub fn new(scores: Vec<f32>, kept: Vec<usize>) -> Self {
        Self { scores, kept }
    }
}

/// Decides which frames of a window to keep. The temporal stage of a pipeline is any such value.
///
/// It does not see the question: it runs when a video is encoded, once for all that is asked later. A choice of frames by the
/// question is a [`FramePicker`](crate::FramePicker)'s.
pub trait FrameSelector: Send + Sync {
    /// Frames per window, 1 or more.
    fn window(&self) -> usize;

    /// Whether selection runs for a video of `frames` when `limit` frames fit.
    fn applies(&self, frames: usize, limit: usize) -> bool;

    /// Selects from one window.
    ///
    /// # Shapes
    /// - `features`: `[frames, tokens, channels]`, at most [`FrameSelector::window`] frames
    ///
    /// # Errors
    /// The selector's own, which reach the caller of the pipeline as the source of [`Error::Stage`].
    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError>;

    /// Most frames kept of a whole video.
    fn max_frames(&self) -> usize;

    /// The score from which a frame goes, where the selector decides by one.
    fn threshold(&self) -> Option<f64> {
        None
    }

    /// The selector and its settings in words. A saved encoded video is refused by a model whose temporal stage has
    /// others, so that a selector with settings should name them here; the type's name alone unless told otherwise.
    fn describe(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }
}

/// LongVU's temporal reduction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TemporalStage {
    /// Frames per window.
    pub window: usize,
    /// Mean similarity from which a frame is dropped.
    pub threshold: f64,
    /// Whether a frame's similarity with itself counts in the mean.
    pub count_self: bool,
    /// Whether it runs even when every frame would fit.
    pub always: bool,
    /// Most frames kept of a whole video.
    pub max_frames: usize,
}

impl Default for TemporalStage {
    /// The published package's settings.
    fn default() -> Self {
        Self { window: 16, threshold: 0.83, count_self: true, always: false, max_frames: 400 }
    }
}

impl TemporalStage {
    /// Sets [`window`](Self::window).
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// Sets [`count_self`](Self::count_self).
    #[must_use]
    pub fn with_count_self(mut self, count_self: bool) -> Self {
        self.count_self = count_self;
        self
    }

    /// Sets [`always`](Self::always).
    #[must_use]
    pub fn with_always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Sets [`max_frames`](Self::max_frames).
    #[must_use]
    pub fn with_max_frames(mut self, max_frames: usize) -> Self {
        self.max_frames = max_frames;
        self
    }

    /// Mean cosine similarity of each frame with the frames of its window, the middle frame's set to 0.
    fn redundancy(&self, features: Tensor<3>) -> Vec<f32> {
        let [frames, tokens, channels] = features.dims();
        if frames == 0 {
            return Vec::new();
        }
        let similarity = ops::cosine_similarity(features.reshape([frames, tokens * channels]));
        let others = if self.count_self { frames } else { frames - 1 };
        let mean = |(i, row): (usize, &[f32])| {
            let own = if self.count_self { 0.0 } else { row[i] };
            (row.iter().sum::<f32>() - own) / others.max(1) as f32
        };
        let mut scores: Vec<f32> = similarity.chunks(frames).enumerate().map(mean).collect();
        // The middle frame stays whatever it looks like, so that no window vanishes.
        scores[frames / 2] = 0.0;
        scores
    }
}

impl FrameSelector for TemporalStage {
    fn window(&self) -> usize {
        self.window
    }

    fn applies(&self, frames: usize, limit: usize) -> bool {
        self.always || frames >= limit
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let scores = self.redundancy(features);
        let kept = (0..scores.len()).filter(|&i| f64::from(scores[i]) < self.threshold).collect();
        Ok(WindowSelection { scores, kept })
    }

    fn max_frames(&self) -> usize {
        self.max_frames
    }

    fn threshold(&self) -> Option<f64> {
        Some(self.threshold)
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// How alike the frames of a window are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowSimilarity {
    /// The window's first frame.
    pub first: usize,
    /// Cosine similarity of each two frames' flattened features, a row for each frame.
    pub similarity: Vec<Vec<f32>>,
}

impl WindowSimilarity {
    /// Compares a window's frames; `first` is its first frame's position in the video.
    ///
    /// # Shapes
    /// - `features`: `[frames, tokens, channels]`
    pub fn of(first: usize, features: Tensor<3>) -> Self {
        let [frames, tokens, channels] = features.dims();
        let similarity = ops::cosine_similarity(features.reshape([frames, tokens * channels]));
        Self { first, similarity: similarity.chunks(frames.max(1)).map(<[f32]>::to_vec).collect() }
    }
}

/// What the temporal stage did to a video.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TemporalReport {
    /// Frames that came in.
    pub frames: usize,
    /// Redundancy of each frame.
    pub scores: Vec<f32>,
    /// Frames that a reduction keeps, ascending.
    pub selected: Vec<usize>,
    /// The score from which a frame goes, where the selector decides by one.
    pub threshold: Option<f64>,
    /// The windows' similarities, if they were [asked for](TemporalReduction::with_similarity).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowSimilarity>,
}

impl TemporalReport {
    /// What a selector did to a video: each frame's score, and which frames it selected, ascending.
    pub fn new(frames: usize, scores: Vec<f32>, selected: Vec<usize>) -> Self {
        Self { frames, scores, selected, ..Self::default() }
    }

    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn with_threshold(mut self, threshold: impl Into<Option<f64>>) -> Self {
        self.threshold = threshold.into();
        self
    }
}

/// Runs a [`FrameSelector`] over a video, window by window, as its frames arrive.
pub struct TemporalReduction<'a> {
    selector: &'a dyn FrameSelector,
    window: usize,
    similarity: bool,
    report: TemporalReport,
}

impl fmt::Debug for TemporalReduction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporalReduction").field("report", &self.report).finish_non_exhaustive()
    }
}

impl<'a> TemporalReduction<'a> {
    /// A reduction that has seen no frame yet.
    ///
    /// # Errors
    /// [`Error::BadStage`] for a selector whose windows have no frames.
    pub fn new(selector: &'a dyn FrameSelector) -> Result<Self> {
        let window = frames_at_once(StageName::Temporal, selector.window())?;
        let report = TemporalReport::default().with_threshold(selector.threshold());
        Ok(Self { selector, window, similarity: false, report })
    }

    /// Sets whether the report has the similarity of each two frames of a window: `window` numbers a frame more, and each
    /// window's frames are compared once more. What is selected stays the same.
    #[must_use]
    pub fn with_similarity(mut self, similarity: bool) -> Self {
        self.similarity = similarity;
        self
    }

    /// Frames per window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Selects from the next window; every window but a video's last must be full.
    ///
    /// # Shapes
    /// - `features`: `[frames, tokens, channels]`
    ///
    /// # Errors
    /// The selector's own, and a selection that is none of this window.
    pub fn push(&mut self, features: Tensor<3>) -> Result<WindowSelection> {
        let (stage, frames) = (StageName::Temporal, features.dims()[0]);
        let failed = |source| Error::Stage { stage, source };
        let start = self.report.frames;
        let similarity = self.similarity.then(|| WindowSimilarity::of(start, features.clone()));
        let selection = self.selector.select_window(features).map_err(failed)?;
        let returned = Returned::new(stage, frames);
        returned.scores(&selection.scores)?;
        returned.kept_frames(&selection.kept)?;
        self.report.windows.extend(similarity);
        self.report.selected.extend(selection.kept.iter().map(|i| start + i));
        self.report.frames += frames;
        self.report.scores.extend_from_slice(&selection.scores);
        Ok(selection)
    }

    /// The whole video's selection: evenly spread frames when more than the selector's most are left.
    pub fn finish(mut self) -> TemporalReport {
        let (left, most) = (self.report.selected.len(), self.selector.max_frames());
        if left > most && self.report.frames >= self.window {
            let spread = (0..most).map(|i| self.report.selected[(i as f64 * left as f64 / most as f64) as usize]);
            self.report.selected = spread.collect();
        }
        self.report
    }

    /// Reduces the features of a whole video at once: `[frames, tokens, channels]`.
    ///
    /// # Errors
    /// As [`TemporalReduction::new`] and [`TemporalReduction::push`].
    pub fn run(selector: &'a dyn FrameSelector, features: Tensor<3>) -> Result<TemporalReport> {
        Self::new(selector)?.reduce(features)
    }

    /// Takes the features of a whole video at once: `[frames, tokens, channels]`.
    ///
    /// # Errors
    /// As [`TemporalReduction::push`].
    pub fn reduce(mut self, features: Tensor<3>) -> Result<TemporalReport> {
        for window in features.split(self.window, 0) {
            self.push(window)?;
        }
        Ok(self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn features(frames: usize, seed: u64) -> Tensor<3> {
        let value = |i: usize| (((i as u64 + 1).wrapping_mul(seed | 1) >> 7) % 1000) as f32 / 500.0 - 1.0;
        let values: Vec<f32> = (0..frames * 12).map(value).collect();
        Tensor::from_data(TensorData::new(values, [frames, 4, 3]), &Device::default())
    }

    #[test]
    fn alike_frames_collapse_to_the_middle_one_of_each_window() {
        let still = features(1, 3).repeat_dim(0, 37);
        let report = TemporalReduction::run(&TemporalStage::default(), still).unwrap();
        assert_eq!(report.selected, [8, 24, 34]);
    }

    #[test]
    fn a_single_frame_stays() {
        for count_self in [true, false] {
            let stage = TemporalStage { count_self, ..TemporalStage::default() };
            assert_eq!(TemporalReduction::run(&stage, features(1, 5)).unwrap().selected, [0]);
        }
    }

    #[test]
    fn similarities_come_when_asked_for_and_change_nothing() {
        let (stage, video) = (TemporalStage::default().with_threshold(0.1), features(21, 11));
        let plain = TemporalReduction::run(&stage, video.clone()).unwrap();
        assert!(plain.windows.is_empty());
        assert_eq!(plain.threshold, Some(0.1));
        let told = TemporalReduction::new(&stage).unwrap().with_similarity(true).reduce(video).unwrap();
        assert_eq!((&told.scores, &told.selected), (&plain.scores, &plain.selected));
        assert_eq!(told.windows.iter().map(|window| window.first).collect::<Vec<_>>(), [0, 16]);
        for WindowSimilarity { first, similarity } in &told.windows {
            let frames = similarity.len();
            for (i, row) in similarity.iter().enumerate().filter(|(i, _)| *i != frames / 2) {
                let mean = row.iter().sum::<f32>() / frames as f32;
                assert!((mean - told.scores[first + i]).abs() < 1e-6);
                assert!((row[i] - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_cap_spreads_evenly() {
        let stage = TemporalStage { threshold: 2.0, max_frames: 4, ..TemporalStage::default() };
        let report = TemporalReduction::run(&stage, features(18, 9)).unwrap();
        assert_eq!(report.selected, [0, 4, 9, 13]);
        // Fewer frames than one window are never capped, as in the package.
        let report = TemporalReduction::run(&stage, features(15, 9)).unwrap();
        assert_eq!(report.selected.len(), 15);
    }

    proptest! {
        #[test]
        fn selections_are_ordered_and_no_window_vanishes(frames in 1usize..80, seed in any::<u64>(), threshold in -1.0f64..1.0) {
            let stage = TemporalStage { threshold, ..TemporalStage::default() };
            let report = TemporalReduction::run(&stage, features(frames, seed)).unwrap();
            prop_assert_eq!(report.frames, frames);
            prop_assert!(report.selected.is_sorted_by(|a, b| a < b));
            prop_assert!(report.selected.iter().all(|&i| i < frames));
            if threshold > 0.0 {
                for start in (0..frames).step_by(16) {
                    let end = (start + 16).min(frames);
                    prop_assert!(report.selected.iter().any(|i| (start..end).contains(i)));
                }
            }
        }
    }
}
