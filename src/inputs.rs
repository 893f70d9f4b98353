//! From a prompt and encoded videos to the language model's input embeddings.

use burn::tensor::Tensor;

use crate::{
    EncodedVideo, Error, LongVu, Result, VisualKind,
    compress::{FusionReport, fuse},
    encoded::select,
    llm::PromptIds,
    projected::ProjectedFrames,
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
    /// A prompt whose text leaves no room or that has ids which the language model has not, another number of places
    /// than of videos, or a video that another model encoded.
    pub fn prepare(&self, prompt: &PromptIds, visuals: &[&EncodedVideo]) -> Result<PreparedPrompt> {
        let (places, given) = (prompt.num_placeholders(), visuals.len());
        if places != given {
            return Err(Error::PlaceholderCount { places, given });
        }
        prompt.check_embedding(self.parts.config.decoder.vocab_size)?;
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
        let features = select(visual.features.clone(), rows);
        let samples = rows.iter().map(|&row| visual.frames[row].sample).collect();
        Ok(ProjectedFrames::new(&self.parts.projector, &self.parts.config, features, visual.size_pair(), samples))
    }

    fn embed_text(&self, ids: &[u32]) -> Result<Tensor<2>> {
        if ids.is_empty() {
            let weight = (&self.parts.device, self.parts.dtype.activations(&self.parts.device).into());
            return Ok(Tensor::zeros([0, self.parts.config.decoder.hidden_size], weight));
        }
        Ok(self.parts.decoder.get()?.embed(ids))
    }
}
