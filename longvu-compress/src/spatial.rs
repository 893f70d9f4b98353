//! Stage 3: tokens that repeat along time go (section 3.3 of the paper).

use std::fmt;

use burn::tensor::Tensor;
use longvu_core::ops;
use serde::Serialize;

use crate::{
    Error, Result, StageError, StageName,
    check::{Returned, frames_at_once},
};

/// Tokens that a pruner looks at together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenChunk {
    /// `[frames, tokens, hidden_size]`
    pub tokens: Tensor<3>,
    /// Tokens of a row of each frame's grid, of which the last is a newline; `None` where there are no newlines.
    pub row_len: Option<usize>,
    /// Tokens of this chunk that fit: its frames' part of the video's room.
    pub room: usize,
    /// Attention that each token received in the vision tower, `[frames, tokens]`, 0 for newlines; `None` where it isn't known.
    pub attention: Option<Tensor<2>>,
}

impl TokenChunk {
    /// Tokens without newlines, of which `room` fit.
    pub fn new(tokens: Tensor<3>, room: usize) -> Self {
        Self { tokens, row_len: None, room, attention: None }
    }

    /// Sets [`row_len`](Self::row_len).
    #[must_use]
    pub fn with_row_len(mut self, row_len: impl Into<Option<usize>>) -> Self {
        self.row_len = row_len.into();
        self
    }

    /// Sets [`attention`](Self::attention).
    #[must_use]
    pub fn with_attention(mut self, attention: impl Into<Option<Tensor<2>>>) -> Self {
        self.attention = attention.into();
        self
    }

    /// Places of a frame's tokens that are no newlines.
    pub fn visual_places(&self) -> Vec<usize> {
        let count = self.tokens.dims()[1];
        let newline = |place: &usize| self.row_len.is_some_and(|len| len > 0 && place % len == len - 1);
        (0..count).filter(|place| !newline(place)).collect()
    }
}

/// What a pruner leaves of a chunk.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PrunedTokens {
    /// For each frame the positions of the tokens that stay, ascending.
    pub kept: Vec<Vec<usize>>,
    /// What stands in their places, `[all that stay, hidden_size]`, if a pruner merges tokens; `None` leaves them as they are.
    pub merged: Option<Tensor<2>>,
}

impl PrunedTokens {
    /// Tokens that stay as they are.
    pub fn new(kept: Vec<Vec<usize>>) -> Self {
        Self { kept, merged: None }
    }

    /// Sets [`merged`](Self::merged).
    #[must_use]
    pub fn with_merged(mut self, merged: impl Into<Option<Tensor<2>>>) -> Self {
        self.merged = merged.into();
        self
    }
}

/// Drops or merges visual tokens. The spatial stage of a pipeline is any such value.
pub trait TokenPruner: Send + Sync {
    /// Frames per chunk, 1 or more; `usize::MAX` to see the whole video at once, all of whose tokens are then in memory.
    fn chunk(&self) -> usize;

    /// Whether it runs even when every token fits. Frames are then at full resolution.
    fn always(&self) -> bool {
        false
    }

    /// Whether it goes by [`TokenChunk::attention`], which is taken from the vision tower for stages that say so.
    fn needs_attention(&self) -> bool {
        false
    }

    /// What stays of a chunk's tokens. What is more than [`TokenChunk::room`] is cut afterwards, from the end.
    ///
    /// # Errors
    /// The pruner's own, which reach the caller of the pipeline as the source of [`Error::Stage`].
    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError>;
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

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let [frames, count, _] = chunk.tokens.dims();
        if frames == 0 {
            return Ok(PrunedTokens::new(Vec::new()));
        }
        let cosine = ops::cosine_with_first(chunk.tokens.clone());
        let later = frames - 1;
        let whole = (0..count).collect();
        let kept_of = |frame| (0..count).filter(|i| f64::from(cosine[i * later + frame]) < self.threshold).collect();
        Ok(PrunedTokens::new(std::iter::once(whole).chain((0..later).map(kept_of)).collect()))
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
    let frames = tokens.dims()[0];
    let mut reduction = SpatialReduction::new(pruner, frames, room)?;
    let chunk = reduction.chunk.min(frames.max(1));
    tokens.split(chunk, 0).into_iter().try_for_each(|chunk| reduction.push(chunk))?;
    Ok(reduction.finish().map(|(_, report)| report).unwrap_or_default())
}

/// [`spatial_reduction`] of tokens that come a chunk at a time, of which only the kept ones stay in memory.
pub struct SpatialReduction<'a> {
    pruner: &'a dyn TokenPruner,
    chunk: usize,
    /// Frames of the whole video, and tokens of it that fit.
    frames: usize,
    room: usize,
    row_len: Option<usize>,
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
    /// A reduction of a video of `frames`, of which no tokens have come yet and `room` tokens fit.
    ///
    /// # Errors
    /// [`Error::BadStage`] for a pruner whose chunks have no frames.
    pub fn new(pruner: &'a dyn TokenPruner, frames: usize, room: usize) -> Result<Self> {
        let chunk = frames_at_once(StageName::Spatial, pruner.chunk())?;
        Ok(Self { pruner, chunk, frames, room, row_len: None, chunks: Vec::new(), tokens_before: 0 })
    }

    /// Says how many tokens a row of the frames' grid has, of which the last is a newline; none are newlines unless set.
    #[must_use]
    pub fn with_row_len(mut self, row_len: Option<usize>) -> Self {
        self.row_len = row_len;
        self
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
        self.push_with(tokens, None)
    }

    /// [`SpatialReduction::push`] of tokens whose [attention](TokenChunk::attention) is known.
    ///
    /// # Shapes
    /// - `tokens`: `[frames, tokens, hidden_size]`
    /// - `attention`: `[frames, tokens]`
    ///
    /// # Errors
    /// As [`SpatialReduction::push`], and attention of another shape.
    pub fn push_with(&mut self, tokens: Tensor<3>, attention: Option<Tensor<2>>) -> Result<()> {
        let ([frames, count, hidden], stage) = (tokens.dims(), StageName::Spatial);
        if let Some(found) = attention.as_ref().map(Tensor::dims).filter(|&dims| dims != [frames, count]) {
            return Err(Error::BadAttention { found, expected: [frames, count] });
        }
        self.tokens_before += frames * count;
        let room = (self.room as u128 * frames as u128 / self.frames.max(1) as u128) as usize;
        let chunk = TokenChunk { tokens, row_len: self.row_len, room, attention };
        let PrunedTokens { kept, merged } =
            self.pruner.prune(&chunk).map_err(|source| Error::Stage { stage, source })?;
        let returned = Returned::new(stage, frames);
        returned.kept_tokens(&kept, count)?;
        let rows: Vec<usize> =
            kept.iter().enumerate().flat_map(|(f, kept)| kept.iter().map(move |&i| f * count + i)).collect();
        let tokens = match merged {
            Some(merged) => {
                returned.merged_tokens(merged.dims(), [rows.len(), hidden])?;
                merged.cast(chunk.tokens.dtype())
            }
            None => ops::select_rows(chunk.tokens.reshape([frames * count, hidden]), &rows),
        };
        self.chunks.push((kept, tokens));
        Ok(())
    }

    /// The tokens that are left, in order, and how that came about; `None` if there never was a chunk.
    ///
    /// # Shapes
    /// - output: `[tokens_after, hidden_size]`
    pub fn finish(self) -> Option<(Tensor<2>, SpatialReport)> {
        let room = self.room;
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
            let mut reduction = SpatialReduction::new(&stage, frames, room).unwrap();
            all.clone().split(8, 0).into_iter().for_each(|chunk| reduction.push(chunk).unwrap());
            let (left, report) = reduction.finish().unwrap();
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
