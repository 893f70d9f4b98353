//! Stage 2: the frames that fit the question best are kept at full resolution (section 3.2 of the paper).

use burn::tensor::{DType, Tensor};
use longvu_core::ops;
use serde::Serialize;

use crate::{Candidates, Error, FramePicker, Result, StageError, StageName, check::Returned};

/// Scores frames against a question. The query-guided stage of a pipeline is any such value.
pub trait FrameScorer: Send + Sync {
    /// One score a frame, higher for frames that deserve full resolution.
    ///
    /// # Shapes
    /// - `low_tokens`: `[frames, tokens, hidden_size]`, the frames at low resolution
    /// - `text`: `[text_tokens, hidden_size]`, embeddings of the prompt after the visual placeholder
    ///
    /// # Errors
    /// The scorer's own, which reach the caller of the pipeline as the source of [`Error::Stage`].
    fn score(&self, low_tokens: Tensor<3>, text: Tensor<2>) -> Result<Vec<f32>, StageError>;
}

/// LongVU's score: the mean dot product of a frame's tokens with the text's tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueryStage;

impl FrameScorer for QueryStage {
    fn score(&self, low_tokens: Tensor<3>, text: Tensor<2>) -> Result<Vec<f32>, StageError> {
        let [frames, tokens, hidden] = low_tokens.dims();
        let count = text.dims()[0];
        if frames == 0 || tokens == 0 || count == 0 {
            return Ok(vec![0.0; frames]);
        }
        // The mean of a token's products with all words is its product with the words' mean, and that is a product of one
        // row with a matrix, which reads the tokens once.
        let text = text.cast(DType::F32).mean_dim(0);
        let dots = ops::linear(text, low_tokens.cast(DType::F32).reshape([frames * tokens, hidden]), None);
        Ok(dots.reshape([frames, tokens]).mean_dim(1).into_data().iter::<f32>().collect())
    }
}

/// What the query-guided stage decided.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct QueryReport {
    /// Score of each frame; empty when no frame could be raised to full resolution.
    pub scores: Vec<f32>,
    /// Frames kept at full resolution, ascending.
    pub full: Vec<usize>,
}

/// Chooses which frames get full resolution.
///
/// With every frame at low resolution the video takes `used` tokens of `room`; each raised frame costs
/// `full_len - low_len` more.
///
/// # Shapes
/// - `low_tokens`: `[frames, low_len, hidden_size]`
/// - `text`: `[text_tokens, hidden_size]`
///
/// # Errors
/// The stages' own, and what they return that does not fit the frames.
pub fn query_guided(
    scorer: &dyn FrameScorer,
    picker: &dyn FramePicker,
    low_tokens: Tensor<3>,
    text: Tensor<2>,
    room: usize,
    full_len: usize,
) -> Result<QueryReport> {
    let [frames, low_len, _] = low_tokens.dims();
    let used = frames * low_len;
    let raised = match full_len.checked_sub(low_len) {
        Some(extra) if extra > 0 && used < room => (room - used) / extra,
        _ => 0,
    };
    if raised == 0 {
        return Ok(QueryReport::default());
    }
    score_and_pick(scorer, picker, low_tokens, text, raised)
}

/// Scores all frames and picks `count` of them, or all if there are no more.
///
/// # Shapes
/// As [`query_guided`].
///
/// # Errors
/// As [`query_guided`].
pub fn score_and_pick(
    scorer: &dyn FrameScorer,
    picker: &dyn FramePicker,
    low_tokens: Tensor<3>,
    text: Tensor<2>,
    count: usize,
) -> Result<QueryReport> {
    let (frames, stage) = (low_tokens.dims()[0], StageName::QueryGuided);
    let count = count.min(frames);
    let failed = |source| Error::Stage { stage, source };
    let scores = scorer.score(low_tokens.clone(), text).map_err(failed)?;
    let returned = Returned::new(stage, frames);
    returned.scores(&scores)?;
    let full = picker.pick(&Candidates::new(&scores, low_tokens), count).map_err(failed)?;
    returned.picked_frames(&full, count)?;
    Ok(QueryReport { scores, full })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopK;
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let value = |i: usize| (((i as u64 + 1).wrapping_mul(seed | 1) >> 9) % 1000) as f32 / 500.0 - 1.0;
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::default())
    }

    proptest! {
        /// The factorised mean equals the mean of all dot products.
        #[test]
        fn scores_are_mean_dot_products(frames in 1usize..5, tokens in 1usize..7, words in 1usize..6, seed in any::<u64>()) {
            let (low, text) = (tensor([frames, tokens, 4], seed), tensor([words, 4], seed ^ 0xABCD));
            let found = QueryStage.score(low.clone(), text.clone()).unwrap();
            let all = low.matmul(text.transpose().unsqueeze::<3>().expand([frames, 4, words]));
            let expected: Vec<f32> = all.reshape([frames, tokens * words]).mean_dim(1).into_data().iter::<f32>().collect();
            for (f, e) in found.iter().zip(&expected) {
                prop_assert!((f - e).abs() < 1e-4, "{f} {e}");
            }
        }

        /// Raised frames never overflow the room, and one more would.
        #[test]
        fn the_room_is_filled(frames in 1usize..9, low in 1usize..8, extra in 1usize..9, room in 0usize..90, seed in any::<u64>()) {
            let (tokens, text) = (tensor([frames, low, 4], seed), tensor([3, 4], seed));
            let report = query_guided(&QueryStage, &TopK::default(), tokens, text, room, low + extra).unwrap();
            let total = frames * low + report.full.len() * extra;
            prop_assert!(report.full.is_empty() || total <= room);
            if frames * low < room && report.full.len() < frames {
                prop_assert!(total + extra > room);
            }
        }
    }
}
