//! Stage 3: tokens that repeat along time go (section 3.3 of the paper).

use std::fmt;

use burn::tensor::Tensor;
use longvu_core::ops;
use serde::Serialize;

use crate::{
    Error, Result, StageError, StageName,
    check::{Returned, frames_at_once},
};

/// Drops tokens that repeat within a chunk of frames. The spatial stage of a pipeline is any such value.
pub trait TokenPruner: Send + Sync {
    /// Frames per chunk, 1 or more.
    fn chunk(&self) -> usize;

    /// For each frame of a chunk, the positions of the tokens to keep, ascending.
    ///
    /// # Shapes
    /// - `tokens`: `[frames, tokens, hidden_size]`, at most [`TokenPruner::chunk`] frames
    ///
    /// # Errors
    /// The pruner's own, which reach the caller of the pipeline as the source of [`Error::Stage`].
    fn keep(&self, tokens: Tensor<3>) -> Result<Vec<Vec<usize>>, StageError>;
}

/// LongVU's spatial reduction: the chunk's first frame stays whole, later frames lose the tokens that look like it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpatialStage {
    /// Frames per chunk.
    pub chunk: usize,
    /// Cosine similarity from which a token is dropped.
    pub threshold: f64,
}

impl Default for SpatialStage {
    /// The paper's settings; released checkpoints carry their own threshold.
    fn default() -> Self {
        Self { chunk: 8, threshold: 0.8 }
    }
}

impl SpatialStage {
    /// Sets [`chunk`](Self::chunk).
    #[must_use]
    pub fn with_chunk(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Sets [`threshold`](Self::threshold).
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }
}

impl TokenPruner for SpatialStage {
    fn chunk(&self) -> usize {
        self.chunk
    }

    fn keep(&self, tokens: Tensor<3>) -> Result<Vec<Vec<usize>>, StageError> {
        let [frames, count, _] = tokens.dims();
        if frames == 0 {
            return Ok(Vec::new());
        }
        let cosine = ops::cosine_with_first(tokens);
        let later = frames - 1;
        let whole = (0..count).collect();
        let kept_of = |frame| (0..count).filter(|i| f64::from(cosine[i * later + frame]) < self.threshold).collect();
        Ok(std::iter::once(whole).chain((0..later).map(kept_of)).collect())
    }
}

/// What the spatial stage kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpatialReport {
    /// Tokens that came in.
    pub tokens_before: usize,
    /// Tokens left after similar ones were dropped.
    pub tokens_similar_dropped: usize,
    /// Tokens left in the end, after what still overflowed was cut.
    pub tokens_after: usize,
    /// Kept positions of each frame, ascending.
    pub kept: Vec<Vec<usize>>,
}

/// Reduces a video's tokens to at most `room`.
///
/// Similar tokens are dropped chunk by chunk. If that does not suffice every chunk loses the same number of tokens
/// from its end, and what is still beyond `room` is cut.
///
/// # Shapes
/// - `tokens`: `[frames, tokens, hidden_size]`
///
/// # Errors
/// The pruner's own, and kept tokens that are none of the chunk's.
pub fn spatial_reduction(pruner: &dyn TokenPruner, tokens: Tensor<3>, room: usize) -> Result<SpatialReport> {
    let [frames, count, _] = tokens.dims();
    let chunks = tokens.split(chunk_of(pruner)?, 0).into_iter().map(|chunk| kept_of(pruner, chunk));
    Ok(fit(chunks.collect::<Result<_>>()?, frames * count, room))
}

fn chunk_of(pruner: &dyn TokenPruner) -> Result<usize> {
    frames_at_once(StageName::Spatial, pruner.chunk())
}

/// What the pruner keeps of each frame of a chunk.
fn kept_of(pruner: &dyn TokenPruner, tokens: Tensor<3>) -> Result<Vec<Vec<usize>>> {
    let ([frames, count, _], stage) = (tokens.dims(), StageName::Spatial);
    let kept = pruner.keep(tokens).map_err(|source| Error::Stage { stage, source })?;
    Returned::new(stage, frames).kept_tokens(&kept, count)?;
    Ok(kept)
}

/// [`spatial_reduction`] of tokens that come a chunk at a time, of which only the kept ones stay in memory.
pub struct SpatialReduction<'a> {
    pruner: &'a dyn TokenPruner,
    chunk: usize,
    /// What each chunk keeps, and those tokens in a row.
    chunks: Vec<(Vec<Vec<usize>>, Tensor<2>)>,
    tokens_before: usize,
}

impl fmt::Debug for SpatialReduction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpatialReduction").field("tokens_before", &self.tokens_before).finish_non_exhaustive()
    }
}

impl<'a> SpatialReduction<'a> {
    /// A reduction of no tokens yet.
    ///
    /// # Errors
    /// [`Error::BadStage`] for a pruner whose chunks have no frames.
    pub fn new(pruner: &'a dyn TokenPruner) -> Result<Self> {
        Ok(Self { pruner, chunk: chunk_of(pruner)?, chunks: Vec::new(), tokens_before: 0 })
    }

    /// Frames per chunk.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Takes the next chunk, which must have [`SpatialReduction::chunk`] frames unless it is the last.
    ///
    /// # Shapes
    /// - `tokens`: `[frames, tokens, hidden_size]`
    ///
    /// # Errors
    /// The pruner's own, and kept tokens that are none of the chunk's.
    pub fn push(&mut self, tokens: Tensor<3>) -> Result<()> {
        let [frames, count, hidden] = tokens.dims();
        self.tokens_before += frames * count;
        let kept = kept_of(self.pruner, tokens.clone())?;
        let rows: Vec<usize> =
            kept.iter().enumerate().flat_map(|(f, kept)| kept.iter().map(move |&i| f * count + i)).collect();
        let tokens = ops::select_rows(tokens.reshape([frames * count, hidden]), &rows);
        self.chunks.push((kept, tokens));
        Ok(())
    }

    /// The tokens that are left, in order, and how that came about; `None` if there never was a chunk.
    ///
    /// # Shapes
    /// - output: `[tokens_after, hidden_size]`
    pub fn finish(self, room: usize) -> Option<(Tensor<2>, SpatialReport)> {
        let (kept, rows): (Vec<_>, Vec<_>) = self.chunks.into_iter().unzip();
        let frames: Vec<usize> = kept.iter().map(Vec::len).collect();
        let report = fit(kept, self.tokens_before, room);
        let mut left = report.kept.as_slice();
        let none = nothing(rows.first()?);
        let mut parts = Vec::with_capacity(rows.len());
        for (rows, frames) in rows.into_iter().zip(frames) {
            let (own, rest) = left.split_at(frames);
            left = rest;
            // Cuts take a chunk's last tokens, and may take all of them.
            let count = own.iter().map(Vec::len).sum();
            if count > 0 {
                parts.push(rows.narrow(0, 0, count));
            }
        }
        Some((if parts.is_empty() { none } else { Tensor::cat(parts, 0) }, report))
    }
}

/// No rows, as wide as those given.
fn nothing(rows: &Tensor<2>) -> Tensor<2> {
    Tensor::zeros([0, rows.dims()[1]], (&rows.device(), rows.dtype()))
}

/// Cuts what chunks keep until it fits.
fn fit(mut chunks: Vec<Vec<Vec<usize>>>, tokens_before: usize, room: usize) -> SpatialReport {
    let left = total(&chunks);
    let mut report = SpatialReport { tokens_before, tokens_similar_dropped: left, ..SpatialReport::default() };
    if left > room && !chunks.is_empty() {
        let cut = (left - room).div_ceil(chunks.len());
        chunks.iter_mut().for_each(|chunk| cut_tail(chunk, cut));
    }
    report.kept = chunks.into_iter().flatten().collect();
    let beyond = report.kept.iter().map(Vec::len).sum::<usize>().saturating_sub(room);
    cut_tail(&mut report.kept, beyond);
    report.tokens_after = report.kept.iter().map(Vec::len).sum();
    report
}

fn total(chunks: &[Vec<Vec<usize>>]) -> usize {
    chunks.iter().flatten().map(Vec::len).sum()
}

/// Removes the last `cut` tokens of a run of frames.
fn cut_tail(frames: &mut [Vec<usize>], mut cut: usize) {
    for frame in frames.iter_mut().rev() {
        let here = cut.min(frame.len());
        frame.truncate(frame.len() - here);
        cut -= here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn tokens(frames: usize, count: usize, seed: u64) -> Tensor<3> {
        let value = |i: usize| (((i as u64 + 1).wrapping_mul(seed | 1) >> 9) % 1000) as f32 / 500.0 - 1.0;
        let values: Vec<f32> = (0..frames * count * 4).map(value).collect();
        Tensor::from_data(TensorData::new(values, [frames, count, 4]), &Device::default())
    }

    #[test]
    fn a_still_video_keeps_the_first_frame_of_each_chunk() {
        let still = tokens(1, 5, 3).repeat_dim(0, 19);
        let report = spatial_reduction(&SpatialStage::default(), still, 1000).unwrap();
        let lens: Vec<usize> = report.kept.iter().map(Vec::len).collect();
        assert_eq!(report.tokens_after, 15);
        assert_eq!((lens[0], lens[8], lens[16]), (5, 5, 5));
    }

    #[test]
    fn every_chunk_loses_its_tail_when_dropping_does_not_suffice() {
        let stage = SpatialStage { threshold: 2.0, chunk: 2 };
        let report = spatial_reduction(&stage, tokens(5, 4, 7), 13).unwrap();
        let lens: Vec<usize> = report.kept.iter().map(Vec::len).collect();
        // 20 tokens in 3 chunks: each loses ceil(7 / 3) = 3.
        assert_eq!(lens, [4, 1, 4, 1, 1]);
        assert_eq!((report.tokens_similar_dropped, report.tokens_after), (20, 11));
    }

    proptest! {
        /// Chunk by chunk the same tokens are left as of all at once.
        #[test]
        fn chunks_may_come_one_by_one(
            frames in 1usize..20, count in 1usize..6, room in 1usize..100, threshold in -1.0f64..1.5, seed in any::<u64>()
        ) {
            let stage = SpatialStage { chunk: 8, threshold };
            let all = tokens(frames, count, seed);
            let expected = spatial_reduction(&stage, all.clone(), room).unwrap();
            let mut reduction = SpatialReduction::new(&stage).unwrap();
            all.clone().split(8, 0).into_iter().for_each(|chunk| reduction.push(chunk).unwrap());
            let (left, report) = reduction.finish(room).unwrap();
            prop_assert_eq!(&report, &expected);
            let rows: Vec<usize> = (0..frames).flat_map(|f| report.kept[f].iter().map(move |&i| f * count + i)).collect();
            let values: Vec<f32> = all.into_data().iter::<f32>().collect();
            let rows: Vec<f32> = rows.iter().flat_map(|&row| values[row * 4..][..4].to_vec()).collect();
            prop_assert_eq!(left.into_data().iter::<f32>().collect::<Vec<_>>(), rows);
        }

        #[test]
        fn never_beyond_the_room_and_always_in_order(
            frames in 1usize..20, count in 1usize..6, room in 0usize..100, threshold in -1.0f64..1.5, seed in any::<u64>()
        ) {
            let stage = SpatialStage { chunk: 8, threshold };
            let report = spatial_reduction(&stage, tokens(frames, count, seed), room).unwrap();
            prop_assert!(report.tokens_after <= room);
            prop_assert_eq!(report.kept.len(), frames);
            for kept in &report.kept {
                prop_assert!(kept.is_sorted_by(|a, b| a < b));
                prop_assert!(kept.iter().all(|&i| i < count));
            }
        }
    }
}
