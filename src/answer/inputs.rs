//! From a prompt and encoded videos to the language model's input embeddings.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::{
    EncodedVideo, Error, LongVu, Result, VisualKind,
    answer::{projected::ProjectedFrames, shares::Shares},
    compress::{Budget, FusionReport, LaterStages, VisualTokens},
    encoded::video::select,
    llm::PromptIds,
    model::budget::text_lengths,
};

/// A prompt ready for the language model.
#[non_exhaustive]
pub struct PreparedPrompt {
    /// `[positions, hidden_size]`.
    pub inputs_embeds: Tensor<2>,
    /// Where the visual tokens of each video or image stand.
    pub visual: Vec<Range<usize>>,
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
    /// Images get their tokens first, for they cannot do with fewer. Videos share what the text and the images leave of
    /// the window: those that need less than an equal share leave the rest to the others. Each video is fitted into its
    /// share, and its frames are scored against the text after the last placeholder.
    ///
    /// # Errors
    /// A prompt whose text leaves no room or that has ids which the language model has not, videos and images that do not
    /// fit beside it, another number of places than of videos and images, one that was encoded by another model or with
    /// other settings, and a stage that fails.
    pub fn prepare(&self, prompt: &PromptIds, visuals: &[&EncodedVideo]) -> Result<PreparedPrompt> {
        let (places, given) = (prompt.num_placeholders(), visuals.len());
        if places != given {
            return Err(Error::PlaceholderCount { places, given });
        }
        let settings = self.encoding_settings();
        visuals.iter().try_for_each(|visual| settings.check(&visual.settings, None))?;
        let video = |visual: &&&EncodedVideo| visual.kind == VisualKind::Video;
        let needed = self.stages.pruner.needs_attention();
        if needed && visuals.iter().filter(video).any(|visual| visual.attention.is_none()) {
            return Err(Error::NoAttention);
        }
        prompt.check_embedding(self.parts.config.decoder.vocab_size)?;
        let budget = self.stages.budget;
        let (text_len, text_ids) = text_lengths(&self.parts.config, prompt);
        if budget.room(text_ids) == 0 {
            let (window, reserved) = (budget.max_len, budget.inference_max_length);
            return Err(Error::PromptTooLong { tokens: text_ids, window, reserved });
        }
        let mut shares = Shares::new(self, visuals, (text_len, text_ids))?;
        let segments = prompt.text_segments();
        let mut prepared = PreparedPrompt {
            inputs_embeds: self.embed_text(&segments[0])?,
            visual: Vec::new(),
            reports: Vec::new(),
            selected: Vec::new(),
        };
        let mut parts = vec![prepared.inputs_embeds.clone()];
        for (i, visual) in visuals.iter().enumerate() {
            let others = shares.of_others(i);
            let lengths = (text_len + others, text_ids + others);
            let budget = budget.beside(others);
            let rows = self.rows(visual, &budget, lengths.0);
            let VisualTokens { tokens, report, .. } = self.fit(visual, &rows, &segments[places], lengths, &budget)?;
            shares.settle(i, report.tokens_after);
            let start: usize = parts.iter().map(|part| part.dims()[0]).sum();
            prepared.visual.push(start..start + tokens.dims()[0]);
            parts.push(tokens);
            parts.push(self.embed_text(&segments[i + 1])?);
            prepared.reports.push(report);
            prepared.selected.push(rows.iter().map(|&row| visual.frames[row].sample).collect());
        }
        parts.retain(|part| part.dims()[0] > 0);
        prepared.inputs_embeds = Tensor::cat(parts, 0);
        Ok(prepared)
    }

    /// Stages 2 and 3 on the given rows of one video or image, before a prompt's last words `after`.
    fn fit(
        &self,
        visual: &EncodedVideo,
        rows: &[usize],
        after: &[u32],
        lengths: (usize, usize),
        budget: &Budget,
    ) -> Result<VisualTokens> {
        let stages = &self.stages;
        let later = LaterStages::new(stages.scorer.as_ref(), stages.picker.as_ref(), stages.pruner.as_ref());
        self.project(visual, rows).fit(visual.kind, || self.embed_text(after), lengths, budget, later)
    }

    /// Rows of a video's features that a prompt of this length uses.
    pub(crate) fn rows(&self, visual: &EncodedVideo, budget: &Budget, text_len: usize) -> Vec<usize> {
        let stages = &self.stages;
        let limit = budget.temporal_limit(text_len);
        if visual.kind == VisualKind::Video && stages.selector.applies(visual.samples.len(), limit) {
            visual.reduced.clone()
        } else {
            (0..visual.frames.len()).collect()
        }
    }

    fn project<'a>(&'a self, visual: &EncodedVideo, rows: &[usize]) -> ProjectedFrames<'a> {
        let features = select(visual.features.clone(), rows);
        let samples = rows.iter().map(|&row| visual.frames[row].sample).collect();
        let (projector, config) = (&self.parts.projector, &self.parts.config);
        let attention = visual.attention.clone().map(|attention| select(attention, rows));
        ProjectedFrames::new(projector, config, features, visual.size_pair(), samples)
            .with_attention(attention)
            .watched(self.watch.clone())
    }

    fn embed_text(&self, ids: &[u32]) -> Result<Tensor<2>> {
        if ids.is_empty() {
            let weight = (&self.parts.device, self.parts.weights.dtype.activations(&self.parts.device).into());
            return Ok(Tensor::zeros([0, self.parts.config.decoder.hidden_size], weight));
        }
        Ok(self.decoder()?.embed(ids))
    }
}
