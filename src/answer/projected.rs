//! Aggregated frames as tokens of the language model.

use std::cell::Cell;

use burn::tensor::{Tensor, TensorData};
use longvu_checkpoint::config::LongVuConfig;
use longvu_core::{Step, Watch};
use web_time::Instant;

use crate::{
    VisualKind,
    compress::{self, Budget, FrameTokens, LaterStages, Layout, VisualTokens, fuse},
    encoded::video::select,
    vision::{MmProjector, SizePair},
};

/// The sinusoid that `frame_pos` models add to the tokens of the frame at position `sample`.
///
/// Even channels have the sine of their angle. Odd channels have the cosine of that *sine*, not of the angle: the
/// package overwrites the angles in place, and models were trained with what comes out.
fn frame_position(sample: usize, hidden: usize) -> impl Iterator<Item = f32> {
    let sine = move |even: usize| {
        let frequency = 1.0 / 10_000f32.powf(even as f32 / hidden as f32);
        (sample as f32 * frequency).sin()
    };
    (0..hidden).map(move |j| if j % 2 == 0 { sine(j) } else { sine(j - 1).cos() })
}

/// A video's aggregated frames, projected at either resolution when asked for: what [`fuse`] fits into a prompt.
pub struct ProjectedFrames<'a> {
    projector: &'a MmProjector,
    features: Tensor<3>,
    /// `[frames, cells]`, if it is known.
    attention: Option<Tensor<2>>,
    size: SizePair,
    low: usize,
    /// Position of each frame among the sampled ones.
    samples: Vec<usize>,
    frame_pos: bool,
    watch: Watch,
    start: Instant,
    /// Frames projected so far, at either resolution.
    projected: Cell<u64>,
}

impl<'a> ProjectedFrames<'a> {
    /// Frames of one size; `samples` says where each lies among those sampled from the video.
    ///
    /// # Shapes
    /// - `features`: `[frames, query_side^2, channels]`, from the aggregator
    pub fn new(
        projector: &'a MmProjector,
        config: &LongVuConfig,
        features: Tensor<3>,
        size: SizePair,
        samples: Vec<usize>,
    ) -> Self {
        let (low, frame_pos) = (config.lowres_token, config.frame_pos);
        let (start, projected) = (Instant::now(), Cell::default());
        let (attention, watch) = (None, Watch::default());
        Self { projector, features, attention, size, low, samples, frame_pos, watch, start, projected }
    }

    /// The same, with what the cells of the features received of SigLIP's attention, `[frames, query_side^2]`.
    #[must_use]
    pub fn with_attention(mut self, attention: impl Into<Option<Tensor<2>>>) -> Self {
        self.attention = attention.into();
        self
    }

    /// The same, of which `watch` hears.
    #[must_use]
    pub fn watched(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Asks the watcher whether `frames` more are wanted.
    fn going_on(&self, frames: usize) -> Result<(), compress::Error> {
        let step = self.watch.step_since(self.start, Step::Project, "", None);
        step.done(self.projected.replace(self.projected.get() + frames as u64))?;
        Ok(())
    }

    /// Adds each frame's position to its tokens, in models with `frame_pos`.
    fn placed_in_time(&self, tokens: Tensor<3>, samples: &[usize]) -> Tensor<3> {
        if !self.frame_pos {
            return tokens;
        }
        let [frames, _, hidden] = tokens.dims();
        let values: Vec<f32> = samples.iter().flat_map(|&sample| frame_position(sample, hidden)).collect();
        let options = (&tokens.device(), tokens.dtype());
        tokens + Tensor::from_data(TensorData::new(values, [frames, 1, hidden]), options)
    }

    /// The tokens that a prompt gets of them: all of an image's, and of a video's what the two later stages fit into the
    /// room that the text leaves.
    ///
    /// `text` is asked for the embeddings of the words after the last placeholder, which only a video's stages look at;
    /// `lengths` are the text's, as [`text_lengths`](crate::text_lengths) counts them.
    ///
    /// # Errors
    /// As [`fuse`], and what `text` fails with.
    pub fn fit<E: From<compress::Error>>(
        &self,
        kind: VisualKind,
        text: impl FnOnce() -> Result<Tensor<2>, E>,
        lengths: (usize, usize),
        budget: &Budget,
        stages: LaterStages<'_>,
    ) -> Result<VisualTokens, E> {
        Ok(match kind {
            VisualKind::Image => self.image(budget.highres)?,
            VisualKind::Video => fuse(self, text()?, lengths, budget, stages)?,
        })
    }

    /// A single image's tokens: low resolution in models that have it.
    fn image(&self, highres: bool) -> Result<VisualTokens, compress::Error> {
        let tokens = if highres { self.low()? } else { self.full(None)? };
        Ok(VisualTokens::whole(tokens, if highres { Layout::QueryGuided } else { Layout::Full }))
    }
}

impl FrameTokens for ProjectedFrames<'_> {
    fn frames(&self) -> usize {
        self.features.dims()[0]
    }

    fn full_len(&self) -> usize {
        let side = self.features.dims()[1].isqrt();
        self.size.kept_cells(side).tokens_with_newlines()
    }

    fn row_lens(&self) -> Option<[usize; 2]> {
        let side = self.features.dims()[1].isqrt();
        let low = self.size.scaled(side, self.low).kept_cells(self.low);
        Some([self.size.kept_cells(side).columns.len() + 1, low.columns.len() + 1])
    }

    fn full(&self, frames: Option<&[usize]>) -> Result<Tensor<3>, compress::Error> {
        self.going_on(frames.map_or(self.samples.len(), <[usize]>::len))?;
        let features = frames.map_or_else(|| self.features.clone(), |rows| select(self.features.clone(), rows));
        let samples: Vec<usize> = match frames {
            Some(rows) => rows.iter().map(|&row| self.samples[row]).collect(),
            None => self.samples.clone(),
        };
        Ok(self.placed_in_time(self.projector.full_tokens(features, self.size), &samples))
    }

    fn low(&self) -> Result<Tensor<3>, compress::Error> {
        self.going_on(self.samples.len())?;
        let tokens = self.projector.low_tokens(self.features.clone(), self.low, self.size);
        Ok(self.placed_in_time(tokens, &self.samples))
    }

    fn attention(&self, frames: &[usize], layout: Layout) -> Result<Option<Tensor<2>>, compress::Error> {
        let cells = self.attention.clone().map(|attention| select(attention, frames));
        Ok(cells.map(|cells| match layout {
            Layout::QueryGuided => MmProjector::low_cells(cells, self.low, self.size),
            _ => MmProjector::full_cells(cells, self.size),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::frame_position;

    #[test]
    fn frame_positions_follow_the_package() {
        let first: Vec<f32> = frame_position(0, 6).collect();
        assert_eq!(first, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let third: Vec<f32> = frame_position(3, 6).collect();
        assert!((third[0] - 3f32.sin()).abs() < 1e-6);
        assert!((third[1] - 3f32.sin().cos()).abs() < 1e-6);
        let slow = 3.0 / 10_000f32.powf(2.0 / 6.0);
        assert!((third[2] - slow.sin()).abs() < 1e-6);
    }
}
