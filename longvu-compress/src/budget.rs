//! How many tokens, and how many frames, fit into the language model's window.

use serde::Serialize;

/// The arithmetic of the window, in one place (LongVU's published package, `prepare_inputs`).
///
/// `text_len` is the length of the prompt with each visual placeholder counted as one token; `text_ids` is the
/// length without placeholders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Budget {
    /// Longest prompt in tokens, visual tokens included.
    pub max_len: usize,
    /// Room kept for the answer.
    pub inference_max_length: usize,
    /// Nominal tokens of a full-resolution frame: 144.
    pub image_token_len: usize,
    /// Side of a low-resolution frame's grid: 8.
    pub lowres_token: usize,
    /// Whether frames may be kept at low resolution.
    pub highres: bool,
    /// Most visual tokens, newline tokens included, whatever the window has room for.
    pub visual_tokens: Option<usize>,
}

impl Budget {
    /// The published sizes with a window of `max_len` tokens: 16 of them for the answer, frames of 144 tokens, or of 8 x 8 at
    /// low resolution.
    pub fn new(max_len: usize) -> Self {
        Self {
            max_len,
            inference_max_length: 16,
            image_token_len: 144,
            lowres_token: 8,
            highres: true,
            visual_tokens: None,
        }
    }

    /// Sets [`max_len`](Self::max_len).
    #[must_use]
    pub fn with_max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len;
        self
    }

    /// Sets [`inference_max_length`](Self::inference_max_length).
    #[must_use]
    pub fn with_inference_max_length(mut self, inference_max_length: usize) -> Self {
        self.inference_max_length = inference_max_length;
        self
    }

    /// Sets [`image_token_len`](Self::image_token_len).
    #[must_use]
    pub fn with_image_token_len(mut self, image_token_len: usize) -> Self {
        self.image_token_len = image_token_len;
        self
    }

    /// Sets [`lowres_token`](Self::lowres_token).
    #[must_use]
    pub fn with_lowres_token(mut self, lowres_token: usize) -> Self {
        self.lowres_token = lowres_token;
        self
    }

    /// Sets [`highres`](Self::highres).
    #[must_use]
    pub fn with_highres(mut self, highres: bool) -> Self {
        self.highres = highres;
        self
    }

    /// Sets [`visual_tokens`](Self::visual_tokens).
    #[must_use]
    pub fn with_visual_tokens(mut self, visual_tokens: impl Into<Option<usize>>) -> Self {
        self.visual_tokens = visual_tokens.into();
        self
    }

    /// The budget of what is left beside so many visual tokens of other videos and images, which the prompt's lengths count.
    #[must_use]
    pub fn beside(self, others: usize) -> Self {
        Self { visual_tokens: self.visual_tokens.map(|most| most.saturating_sub(others)), ..self }
    }

    /// The budget of a window that leaves no more than `visual_tokens` for frames, beside a prompt of `text_len`.
    #[must_use]
    pub fn at_most(self, visual_tokens: usize, text_len: usize) -> Self {
        let window = text_len.saturating_add(self.inference_max_length).saturating_add(visual_tokens);
        Self { max_len: self.max_len.min(window), ..self }
    }

    /// Tokens left for frames: the window less the prompt and the answer.
    pub fn tokens(&self, text_len: usize) -> usize {
        self.capped(self.max_len.saturating_sub(text_len).saturating_sub(self.inference_max_length))
    }

    fn capped(&self, tokens: usize) -> usize {
        self.visual_tokens.map_or(tokens, |most| tokens.min(most))
    }

    /// Nominal tokens of a low-resolution frame: 64.
    pub fn low_frame(&self) -> usize {
        self.lowres_token * self.lowres_token
    }

    /// Number of frames from which the temporal stage runs.
    pub fn temporal_limit(&self, text_len: usize) -> usize {
        let frame = if self.highres { self.low_frame() } else { self.image_token_len };
        self.frames(text_len, frame)
    }

    /// Number of frames that no longer fit at full resolution.
    pub fn high_frames(&self, text_len: usize) -> usize {
        self.frames(text_len, self.image_token_len)
    }

    /// Largest number of frames that fit at low resolution.
    pub fn low_frames(&self, text_len: usize) -> usize {
        self.frames(text_len, self.low_frame())
    }

    /// Tokens that the visual part of the prompt may take once newline tokens count.
    pub fn room(&self, text_ids: usize) -> usize {
        self.capped(self.max_len.saturating_sub(self.inference_max_length).saturating_sub(text_ids))
    }

    fn frames(&self, text_len: usize, frame: usize) -> usize {
        (self.tokens(text_len) / frame.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn released() -> Budget {
        Budget::new(8192)
    }

    #[test]
    fn released_sizes_give_the_published_limits() {
        assert_eq!(released().tokens(40), 8136);
        assert_eq!(released().temporal_limit(40), 127);
        assert_eq!(released().high_frames(40), 56);
        assert_eq!(released().low_frames(40), 127);
    }

    proptest! {
        /// A smaller window leaves what was asked for, or what there is.
        #[test]
        fn a_smaller_window_leaves_what_is_asked(text in 0usize..20_000, visual_tokens in 0usize..20_000) {
            let smaller = released().at_most(visual_tokens, text);
            prop_assert_eq!(smaller.tokens(text), released().tokens(text).min(visual_tokens));
        }

        /// Fewer visual tokens are as many for every prompt that leaves room for them.
        #[test]
        fn fewer_visual_tokens_are_the_same_for_every_prompt(text in 0usize..9000, most in 1usize..9000, others in 0usize..900) {
            let (whole, less) = (released(), released().with_visual_tokens(most));
            prop_assert_eq!(less.room(text), whole.room(text).min(most));
            prop_assert_eq!(less.tokens(text), whole.tokens(text).min(most));
            prop_assert_eq!(less.beside(others).room(text), whole.room(text).min(most.saturating_sub(others)));
            prop_assert_eq!(whole.beside(others), whole);
        }

        /// A longer prompt never leaves more room, and no prompt makes the arithmetic fail.
        #[test]
        fn longer_prompts_leave_less(text in 0usize..20_000, more in 0usize..20_000) {
            prop_assert!(released().tokens(text + more) <= released().tokens(text));
            prop_assert!(released().temporal_limit(text + more) <= released().temporal_limit(text));
            prop_assert!(released().room(text + more) <= released().room(text));
            prop_assert!(released().temporal_limit(text) >= 1 && released().high_frames(text) >= 1);
        }
    }
}
