//! The token budget that a checkpoint states.

use longvu_checkpoint::config::LongVuConfig;

use crate::compress::Budget;

/// The token budget of a checkpoint.
pub fn budget(config: &LongVuConfig) -> Budget {
    Budget {
        max_len: config.tokenizer_model_max_length,
        inference_max_length: config.inference_max_length,
        image_token_len: config.image_token_len,
        lowres_token: config.lowres_token,
        highres: config.highres,
    }
}
