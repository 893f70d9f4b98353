//! From a prompt and encoded videos to the language model's input embeddings.

use burn::tensor::{Tensor, TensorData};

use crate::{
    EncodedVideo, Error, LongVu, Result, VisualKind,
    compress::{FrameTokens, FusionReport, Layout, fuse},
    encoded::select,
    llm::PromptIds,
    vision::{MmProjector, SizePair},
};

/// A prompt ready for the language model.
pub struct PreparedPrompt {
    /// `[positions, hidden_size]`.
    pub inputs_embeds: Tensor<2>,
    /// What stages 2 and 3 did, for each video or image.
    pub reports: Vec<FusionReport>,
    /// For each video or image, the sampled frames that the prompt uses.
    pub selected: Vec<Vec<usize>>,
}

impl PreparedPrompt {
    /// Visual tokens of all videos and images.
    pub fn visual_tokens(&self) -> usize {
        self.reports.iter().map(|r| r.tokens_after).sum()
    }
}

impl LongVu {
    /// Puts the visual tokens of `visuals` in the placeholders' stead, in order.
    ///
    /// Each video's frames are fitted into what the text, and the videos before it, leave of the window, and are
    /// scored against the text after the last placeholder.
    ///
    /// # Errors
    /// A prompt whose text leaves no room, another number of places than of videos, or a video that another model
    /// encoded.
    pub fn prepare(&self, prompt: &PromptIds, visuals: &[&EncodedVideo]) -> Result<PreparedPrompt> {
        let (places, given) = (prompt.num_placeholders(), visuals.len());
        if places != given {
            return Err(Error::PlaceholderCount { places, given });
        }
        let budget = self.parts.stages.budget;
        let text_ids = prompt.text_ids_without_placeholders().len();
        if budget.room(text_ids) == 0 {
            let (window, reserved) = (budget.max_len, budget.inference_max_length);
            return Err(Error::PromptTooLong { tokens: text_ids, window, reserved });
        }
        let text_len = prompt.text_len(Some(self.parts.config.language_model().pad_token_id()));
        let segments = prompt.text_segments();
        let mut prepared =
            PreparedPrompt { inputs_embeds: self.embed_text(&segments[0])?, reports: Vec::new(), selected: Vec::new() };
        let mut parts = vec![prepared.inputs_embeds.clone()];
        for (i, visual) in visuals.iter().enumerate() {
            let after = &segments[places];
            let taken = prepared.visual_tokens();
            let (tokens, report, selected) = self.fit(visual, after, text_len + taken, text_ids + taken)?;
            parts.push(tokens);
            parts.push(self.embed_text(&segments[i + 1])?);
            prepared.reports.push(report);
            prepared.selected.push(selected);
        }
        parts.retain(|part| part.dims()[0] > 0);
        let all = Tensor::cat(parts, 0);
        let positions = all.dims()[0].min(budget.max_len);
        prepared.inputs_embeds = all.narrow(0, 0, positions);
        Ok(prepared)
    }

    /// Stages 2 and 3 on one video or image.
    fn fit(
        &self,
        visual: &EncodedVideo,
        after: &[u32],
        text_len: usize,
        text_ids: usize,
    ) -> Result<(Tensor<2>, FusionReport, Vec<usize>)> {
        let stages = &self.parts.stages;
        let rows = self.rows(visual, text_len);
        let selected = rows.iter().map(|&row| visual.frames[row].sample).collect();
        let frames = self.project(visual, &rows)?;
        if visual.kind == VisualKind::Image {
            let (tokens, report) = frames.image(stages.budget.highres);
            return Ok((tokens, report, selected));
        }
        let text = self.embed_text(after)?;
        let (scorer, pruner) = (stages.scorer.as_ref(), stages.pruner.as_ref());
        let fused = fuse(&frames, text, (text_len, text_ids), &stages.budget, scorer, pruner);
        Ok((fused.tokens, fused.report, selected))
    }

    /// Rows of a video's features that a prompt of this length uses.
    fn rows(&self, visual: &EncodedVideo, text_len: usize) -> Vec<usize> {
        let stages = &self.parts.stages;
        let limit = stages.budget.temporal_limit(text_len);
        if visual.kind == VisualKind::Video && stages.selector.applies(visual.samples.len(), limit) {
            visual.reduced.clone()
        } else {
            (0..visual.frames.len()).collect()
        }
    }

    fn project<'a>(&'a self, visual: &EncodedVideo, rows: &[usize]) -> Result<ProjectedFrames<'a>> {
        let [_, cells, channels] = visual.features.dims();
        let expected = self.parts.config.vision_hidden_size;
        if channels != expected || cells != self.parts.config.query_side().pow(2) {
            return Err(Error::ForeignEncoding { found: channels, cells, expected });
        }
        Ok(ProjectedFrames {
            projector: &self.parts.projector,
            features: select(visual.features.clone(), rows),
            size: visual.size_pair(),
            low: self.parts.config.lowres_token,
            samples: rows.iter().map(|&row| visual.frames[row].sample).collect(),
            frame_pos: self.parts.config.frame_pos,
        })
    }

    fn embed_text(&self, ids: &[u32]) -> Result<Tensor<2>> {
        if ids.is_empty() {
            let weight = (&self.parts.device, self.parts.dtype.activations(&self.parts.device).into());
            return Ok(Tensor::zeros([0, self.parts.config.decoder.hidden_size], weight));
        }
        Ok(self.parts.decoder.get()?.embed(ids))
    }
}

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

/// Aggregated frames, projected at either resolution when asked for.
struct ProjectedFrames<'a> {
    projector: &'a MmProjector,
    features: Tensor<3>,
    size: SizePair,
    low: usize,
    /// Position of each frame among the sampled ones.
    samples: Vec<usize>,
    frame_pos: bool,
}

impl ProjectedFrames<'_> {
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

    /// A single image's tokens: low resolution in models that have it.
    fn image(&self, highres: bool) -> (Tensor<2>, FusionReport) {
        let tokens = if highres { self.low() } else { self.full(None) };
        let [frames, len, hidden] = tokens.dims();
        let report = FusionReport {
            frames,
            layout: if highres { Layout::QueryGuided } else { Layout::Full },
            full_frames: if highres { 0 } else { frames },
            tokens_before: frames * len,
            tokens_after: frames * len,
            tokens_per_frame: vec![len; frames],
            query: None,
            spatial: None,
        };
        (tokens.reshape([frames * len, hidden]), report)
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

    fn full(&self, frames: Option<&[usize]>) -> Tensor<3> {
        let features = frames.map_or_else(|| self.features.clone(), |rows| select(self.features.clone(), rows));
        let samples: Vec<usize> = match frames {
            Some(rows) => rows.iter().map(|&row| self.samples[row]).collect(),
            None => self.samples.clone(),
        };
        self.placed_in_time(self.projector.full_tokens(features, self.size), &samples)
    }

    fn low(&self) -> Tensor<3> {
        let tokens = self.projector.low_tokens(self.features.clone(), self.low, self.size);
        self.placed_in_time(tokens, &self.samples)
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
