//! What only this server has, under one key.

use std::str::FromStr;

use longvu::{Preset, Repeats, StageSettings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api_error::ApiError;

/// Settings of a request that are LongVU's own, under the key `longvu`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Extension {
    /// Published settings of rate and thresholds: `package`, `paper`, `videomme`, `mlvu`, `egoschema` or `mvbench`.
    pub preset: Option<String>,
    /// Similarity from which the temporal stage drops a frame.
    pub dino_threshold: Option<f64>,
    /// Similarity from which the spatial stage drops a token.
    pub drop_threshold: Option<f64>,
    /// Levels of 255 by which a frame may differ from the last one and still be taken for it.
    pub repeats: Option<u8>,
    /// Look from this second on.
    pub start: Option<f64>,
    /// Look until this second.
    pub end: Option<f64>,
    /// Whether the report tells of every sampled frame.
    pub frames: bool,
}

impl Extension {
    /// The stages that the request names, if it names any.
    ///
    /// # Errors
    /// 422 for a preset that there is not.
    pub fn stages(&self, default: Preset) -> Result<Option<StageSettings>, ApiError> {
        let preset = self.preset()?;
        let thresholds = self.dino_threshold.or(self.drop_threshold);
        if preset.is_none() && thresholds.is_none() && self.repeats.is_none() {
            return Ok(None);
        }
        let mut settings = StageSettings::default().with_preset(preset.unwrap_or(default));
        if let Some(threshold) = self.dino_threshold {
            settings = settings.with_dino_threshold(threshold);
        }
        if let Some(threshold) = self.drop_threshold {
            settings = settings.with_drop_threshold(threshold);
        }
        if let Some(levels) = self.repeats {
            settings = settings.with_repeats(Repeats::Within(levels));
        }
        Ok(Some(settings))
    }

    /// The preset, if one is named.
    ///
    /// # Errors
    /// 422 for a name that there is not.
    pub fn preset(&self) -> Result<Option<Preset>, ApiError> {
        let parse = |name: &String| Preset::from_str(name);
        self.preset
            .as_ref()
            .map(parse)
            .transpose()
            .map_err(|error| ApiError::unprocessable(error.to_string()).param("longvu.preset"))
    }
}

/// How frames are sampled, as vLLM has it: `media_io_kwargs.video`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VideoIo {
    /// Frames a second; 0 or less leaves it to the preset.
    pub fps: Option<f64>,
    /// Frames in all, spread evenly, or at most so many where `fps` is set, too; -1 for every frame.
    pub num_frames: Option<i64>,
}

/// How media are read, by their kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MediaIo {
    pub video: VideoIo,
}

/// Seconds that each step of a request took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Seconds {
    /// Waiting for other requests.
    pub queue: f64,
    /// From the file to the encoded video.
    pub encode: f64,
    /// The query-guided and spatial stages.
    pub prepare: f64,
    /// The prompt's way through the language model.
    pub prefill: f64,
    /// All tokens of the answer.
    pub generate: f64,
}
