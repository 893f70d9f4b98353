//! The token budget that a checkpoint states, and what a prompt's text takes of it.

use longvu_checkpoint::config::LongVuConfig;

use crate::{compress::Budget, llm::PromptIds};

/// The token budget of a checkpoint.
pub fn budget(config: &LongVuConfig) -> Budget {
    Budget::new(config.tokenizer_model_max_length)
        .with_inference_max_length(config.inference_max_length)
        .with_image_token_len(config.image_token_len)
        .with_lowres_token(config.lowres_token)
        .with_highres(config.highres)
}

/// The length of a prompt's text as the budget counts it: with each placeholder as one token, and without placeholders.
pub fn text_lengths(config: &LongVuConfig, prompt: &PromptIds) -> (usize, usize) {
    let text_len = prompt.text_len(Some(config.language_model().pad_token_id()));
    (text_len, prompt.text_ids_without_placeholders().len())
}
