//! Stages that leave things as they are: what the others are compared with.

use burn::tensor::Tensor;

use crate::{FrameScorer, FrameSelector, PrunedTokens, StageError, TokenChunk, TokenPruner, WindowSelection};

/// In place of the temporal stage: every frame stays, or evenly spread ones of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepFrames {
    /// Most frames kept of a whole video.
    pub max_frames: usize,
}

impl KeepFrames {
    /// All frames of a video that has no more than `max_frames`, else so many of them.
    pub fn new(max_frames: usize) -> Self {
        Self { max_frames }
    }
}

impl FrameSelector for KeepFrames {
    /// No more than are kept: a video shorter than a window is never thinned.
    fn window(&self) -> usize {
        self.max_frames.clamp(1, 16)
    }

    fn applies(&self, frames: usize, _: usize) -> bool {
        frames > self.max_frames
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let frames = features.dims()[0];
        Ok(WindowSelection { scores: vec![0.0; frames], kept: (0..frames).collect() })
    }

    fn max_frames(&self) -> usize {
        self.max_frames
    }

    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// In place of the query-guided stage: no frame is worth more than another, and the first ones are raised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScoreNothing;

impl FrameScorer for ScoreNothing {
    fn score(&self, low_tokens: Tensor<3>, _: Tensor<2>) -> Result<Vec<f32>, StageError> {
        Ok(vec![0.0; low_tokens.dims()[0]])
    }
}

/// In place of the spatial stage: every token stays, up to where the prompt is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepTokens;

impl TokenPruner for KeepTokens {
    fn chunk(&self) -> usize {
        8
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let [frames, len, _] = chunk.tokens.dims();
        Ok(PrunedTokens::new(vec![(0..len).collect(); frames]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpatialReduction, TemporalReduction};
    use burn::tensor::Device;

    #[test]
    fn frames_are_thinned_evenly_and_tokens_stay() {
        let features = Tensor::<3>::ones([40, 4, 3], &Device::default());
        let report = TemporalReduction::run(&KeepFrames { max_frames: 8 }, features.clone()).unwrap();
        assert_eq!(report.selected, [0, 5, 10, 15, 20, 25, 30, 35]);
        let few = features.clone().narrow(0, 0, 10);
        assert_eq!(TemporalReduction::run(&KeepFrames { max_frames: 5 }, few).unwrap().selected, [0, 2, 4, 6, 8]);
        let report = TemporalReduction::run(&KeepFrames { max_frames: 99 }, features.clone()).unwrap();
        assert_eq!(report.selected.len(), 40);
        let mut reduction = SpatialReduction::new(&KeepTokens, 8, 1000).unwrap();
        reduction.push(features.clone().narrow(0, 0, 8)).unwrap();
        assert_eq!(reduction.finish().unwrap().1.tokens_after, 32);
        let text = Tensor::ones([2, 3], &Device::default());
        assert_eq!(ScoreNothing.score(features, text).unwrap(), [0.0; 40]);
    }
}
