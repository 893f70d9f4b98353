//! What shapes an encoded video: the same video gives the same result wherever all of it is the same.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, LongVu, Result};

/// Settings that an encoded video must share with the model that is asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EncodingSettings {
    /// Fingerprint of both towers and the connector.
    pub checkpoint: String,
    pub dtype: String,
    /// Integers that hold the towers' matrices, or `none`.
    pub quantize: String,
    /// The temporal stage in words.
    pub temporal_stage: String,
    pub max_len: usize,
    pub inference_max_length: usize,
    /// Tokens of a frame that the temporal stage reckons with.
    pub frame_tokens: usize,
    /// Most visual tokens, if they are bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visual_tokens: Option<usize>,
    /// Levels by which frames may differ from the one that they are taken for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeat_levels: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(levels: &u8) -> bool {
    *levels == 0
}

impl EncodingSettings {
    /// Each setting with its value, what to do when it differs, and the names under which it is set.
    pub fn entries(&self) -> [(&'static str, String, &'static str, &'static [&'static str]); 9] {
        let weights =
            "its towers or its connector have other weights; ask the model that encoded it, or encode it again";
        let setting = "ask with the one that it was encoded with, or encode it again";
        let config = "use the config.json that it was encoded with, or encode it again";
        let stage: &[&str] = &["preset", "dino_threshold", "temporal_stage"];
        [
            ("the checkpoint", self.checkpoint.clone(), weights, &[]),
            ("dtype", self.dtype.clone(), setting, &["weights"]),
            ("quantised weights:", self.quantize.clone(), setting, &["weights"]),
            ("the temporal stage", self.temporal_stage.clone(), setting, stage),
            ("a window (max_len) of", self.max_len.to_string(), setting, &["max_len"]),
            ("inference_max_length", self.inference_max_length.to_string(), config, &[]),
            ("tokens a frame", self.frame_tokens.to_string(), config, &[]),
            (
                "at most as many visual tokens as",
                self.visual_tokens.map_or_else(|| "fit".to_owned(), |tokens| tokens.to_string()),
                setting,
                &["visual_tokens"],
            ),
            (
                "frames taken for others up to a difference of",
                format!("{} levels", self.repeat_levels),
                setting,
                &["repeats"],
            ),
        ]
    }

    /// Refuses what was encoded with the settings `found`; `path` names it where it is a file.
    ///
    /// # Errors
    /// [`Error::EncodingMismatch`] for the first that differs.
    pub fn check(&self, found: &Self, path: Option<&Path>) -> Result<()> {
        for ((what, expected, advice, settings), (_, found, ..)) in self.entries().into_iter().zip(found.entries()) {
            if found != expected {
                return Err(Error::EncodingMismatch {
                    path: path.map(Path::to_owned),
                    what,
                    found,
                    expected,
                    advice,
                    settings,
                });
            }
        }
        Ok(())
    }
}

impl LongVu {
    /// What shapes the videos that this model encodes.
    pub(crate) fn encoding_settings(&self) -> EncodingSettings {
        let parts = &self.parts;
        let budget = self.stages.budget;
        EncodingSettings {
            checkpoint: parts.vision_fingerprint.clone(),
            dtype: parts.weights.dtype.to_string(),
            quantize: parts.weights.quantize.map_or_else(|| "none".to_owned(), |quantize| quantize.to_string()),
            temporal_stage: self.stages.selector.describe(),
            max_len: budget.max_len,
            inference_max_length: budget.inference_max_length,
            frame_tokens: if budget.highres { budget.low_frame() } else { budget.image_token_len },
            visual_tokens: budget.visual_tokens,
            repeat_levels: self.stages.repeats.levels(),
        }
    }
}
