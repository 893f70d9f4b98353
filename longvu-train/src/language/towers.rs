//! The trained towers, and what comes before the connector.

use burn::tensor::{Device, Tensor};
use longvu::Frame;
use longvu_compress::{Budget, FrameSelector, TemporalReduction, TemporalStage};
use longvu_core::{Dtype, ops};
use longvu_vision::{Dinov2, Preprocessor, Siglip};

use crate::Result;

/// Both towers with their preprocessing, without gradients.
pub struct FrozenTowers {
    /// SigLIP.
    pub siglip: Siglip,
    /// Its preprocessing.
    pub siglip_pixels: Preprocessor,
    /// DINOv2.
    pub dinov2: Dinov2,
    /// Its preprocessing.
    pub dinov2_pixels: Preprocessor,
    /// Side of both feature grids.
    pub feature_side: usize,
}

/// Frames through a tower at a time.
const BATCH: usize = 16;

/// Features of the frames that a prompt uses.
pub(crate) struct Features {
    /// `[frames, feature_side^2, channels]`.
    pub siglip: Tensor<3>,
    /// `[frames, feature_side^2, channels]`.
    pub dinov2: Tensor<3>,
    /// Where each frame lies among the sampled ones.
    pub samples: Vec<usize>,
}

impl FrozenTowers {
    /// Runs the temporal stage, if a prompt of `text_len` tokens calls for it, and both towers on what is left.
    pub(crate) fn features(
        &self,
        frames: &[Frame],
        stage: Option<&TemporalStage>,
        (budget, text_len): (&Budget, usize),
        device: &Device,
    ) -> Result<Features> {
        let dinov2 = through(frames, &self.dinov2_pixels, device, |x| self.dinov2.features(x, self.feature_side))?;
        let applies = |stage: &&TemporalStage| stage.applies(frames.len(), budget.temporal_limit(text_len));
        let samples = match stage.filter(applies) {
            Some(stage) => TemporalReduction::run(stage, dinov2.clone())?.selected,
            None => (0..frames.len()).collect(),
        };
        let kept: Vec<&Frame> = samples.iter().map(|&i| &frames[i]).collect();
        let siglip = through(&kept, &self.siglip_pixels, device, |x| self.siglip.features(x, self.feature_side))?;
        Ok(Features { siglip, dinov2: ops::select_rows(dinov2, &samples), samples })
    }
}

fn through<F: std::borrow::Borrow<Frame>>(
    frames: &[F],
    pixels: &Preprocessor,
    device: &Device,
    tower: impl Fn(Tensor<4>) -> Tensor<3>,
) -> Result<Tensor<3>> {
    let mut features = Vec::new();
    for batch in frames.chunks(BATCH) {
        let resized: Result<Vec<_>, _> =
            batch.iter().map(|frame| frame.borrow()).map(|f| pixels.resize(&f.rgb, f.width, f.height)).collect();
        features.push(tower(pixels.pixel_values(&resized?, device, Dtype::F32)));
    }
    Ok(Tensor::cat(features, 0))
}
