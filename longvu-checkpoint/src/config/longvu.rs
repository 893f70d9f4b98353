//! `config.json` of a LongVU checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    DecoderConfig, TowerFamily, TowerRef, alike, drop_nulls, ensure, ensure_finite, ensure_sizes, grid_side, invalid,
    over_limit, parse, read_object, rope,
};
use crate::{Limits, Result, limits::product};

/// The language-model family inside a LongVU checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LanguageModel {
    /// `cambrian_qwen`: Qwen2, with biases on queries, keys and values.
    Qwen2,
    /// `cambrian_llama`: Llama 3.
    Llama,
}

impl LanguageModel {
    /// Whether the query, key and value projections have biases whatever the configuration says.
    pub fn has_qkv_bias(self) -> bool {
        self == Self::Qwen2
    }

    /// The id that marks padding in prompts of this family.
    pub fn pad_token_id(self) -> u32 {
        match self {
            Self::Qwen2 => 151_643,
            Self::Llama => 128_002,
        }
    }
}

/// Everything `config.json` says about a LongVU model, under the published names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LongVuConfig {
    /// `cambrian_qwen` or `cambrian_llama`.
    pub model_type: String,
    /// The language model's sizes.
    #[serde(flatten)]
    pub decoder: DecoderConfig,
    /// Vision towers in order: SigLIP first, DINOv2 last.
    pub mm_vision_tower_aux_list: Vec<String>,
    /// Tokens of each tower's resampled grid, per frame.
    pub mm_vision_tower_aux_token_len_list: Vec<usize>,
    /// Width of the aggregator.
    pub vision_hidden_size: usize,
    /// Query groups of the aggregator; 1 in every released model.
    #[serde(default = "one")]
    pub num_query_group: usize,
    /// Queries per frame and group.
    pub query_num_list: Vec<usize>,
    /// Layers of the aggregator.
    #[serde(default = "three")]
    pub connector_depth: usize,
    /// Whether the aggregator sits only before the language model.
    #[serde(default = "yes")]
    pub connector_only: bool,
    /// Tokens of a full-resolution frame, newlines not counted.
    #[serde(default = "full_tokens")]
    pub image_token_len: usize,
    /// Side of a low-resolution frame's token grid.
    #[serde(default = "low_side")]
    pub lowres_token: usize,
    /// Whether frames may be kept at low resolution.
    #[serde(default)]
    pub highres: bool,
    /// Whether a frame's tokens get a sinusoid of its position.
    #[serde(default)]
    pub frame_pos: bool,
    /// Mean similarity from which the temporal stage drops a frame.
    #[serde(default = "dino_threshold")]
    pub dino_threshold: f64,
    /// Cosine similarity from which the spatial stage drops a token.
    #[serde(default = "drop_threshold")]
    pub drop_threshold: f64,
    /// Longest prompt in tokens, visual tokens included.
    pub tokenizer_model_max_length: usize,
    /// Room kept for the answer when budgets are computed.
    #[serde(default = "inference_length")]
    pub inference_max_length: usize,
    /// Connector type; `sva`, the spatial vision aggregator, is the one LongVU has.
    #[serde(default = "sva")]
    pub mm_projector_type: String,
    /// dtype of the published weights, for information.
    #[serde(default)]
    pub torch_dtype: Option<String>,
}

fn one() -> usize {
    1
}
fn three() -> usize {
    3
}
fn yes() -> bool {
    true
}
fn full_tokens() -> usize {
    144
}
fn low_side() -> usize {
    8
}
fn dino_threshold() -> f64 {
    0.83
}
fn drop_threshold() -> f64 {
    0.8
}
fn inference_length() -> usize {
    16
}
fn sva() -> String {
    "sva".into()
}

impl LongVuConfig {
    /// Reads `config.json` at `path` and checks it.
    ///
    /// # Errors
    /// A missing or malformed file, an unknown `model_type`, or values that do not fit each other.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, &Map::new())
    }

    /// The same, with some values replaced before anything is checked.
    ///
    /// # Errors
    /// As [`LongVuConfig::read`], and an override of a key that nothing reads.
    pub fn read_with(path: &Path, overrides: &Map<String, Value>) -> Result<Self> {
        Self::read_within(path, overrides, &Limits::default())
    }

    /// The same, with limits of the caller's.
    ///
    /// # Errors
    /// As [`LongVuConfig::read`].
    pub fn read_within(path: &Path, overrides: &Map<String, Value>, limits: &Limits) -> Result<Self> {
        let mut raw = read_object(path, limits)?;
        let mut overrides = overrides.clone();
        if let Some(values) = raw.as_object_mut() {
            for keys in [&mut *values, &mut overrides] {
                rope::unify(path, keys)?;
                rename_dtype(path, keys)?;
            }
            values.extend(overrides.clone());
        }
        drop_nulls(&mut raw);
        let model_type = raw.get("model_type").and_then(|v| v.as_str()).unwrap_or_default();
        family(model_type).ok_or_else(|| {
            invalid(
                path,
                format!(
                    "`model_type` is `{model_type}`; a LongVU model has `cambrian_qwen` or `cambrian_llama` \
                     (for example Vision-CAIR/LongVU_Qwen2_7B)"
                ),
            )
        })?;
        if let Some(values) = raw.as_object() {
            rope::check_layers(path, values)?;
        }
        // Alone first: within a flattened struct the key at fault cannot be told.
        parse::<DecoderConfig>(path, raw.clone())?;
        let config: Self = parse(path, raw)?;
        config.check_known(path, &overrides)?;
        config.check_within(path, limits)?;
        Ok(config)
    }

    /// The language-model family.
    pub fn language_model(&self) -> LanguageModel {
        family(&self.model_type).unwrap_or(LanguageModel::Qwen2)
    }

    /// Side of the aggregator's query grid: 12 in the released models.
    pub fn query_side(&self) -> usize {
        self.query_num_list.first().copied().and_then(grid_side).unwrap_or(1)
    }

    /// Side of a tower's resampled feature grid: 24 in the released models.
    pub fn feature_side(&self) -> usize {
        self.mm_vision_tower_aux_token_len_list.first().copied().and_then(grid_side).unwrap_or(1)
    }

    /// The towers, in checkpoint order.
    ///
    /// # Errors
    /// An entry that names no known tower.
    pub fn towers(&self) -> Result<Vec<TowerRef>> {
        self.mm_vision_tower_aux_list.iter().map(|entry| entry.parse()).collect()
    }

    /// Checks values against each other; `path` is named in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the offending keys.
    pub fn check(&self, path: &Path) -> Result<()> {
        self.check_within(path, &Limits::default())
    }

    /// The same, with limits of the caller's.
    ///
    /// # Errors
    /// As [`LongVuConfig::check`].
    pub fn check_within(&self, path: &Path, limits: &Limits) -> Result<()> {
        self.check_family(path)?;
        self.decoder.check(path, limits)?;
        self.check_sizes(path, limits)?;
        self.check_connector(path)?;
        let towers = self.towers().map_err(|e| invalid(path, e.to_string()))?;
        for TowerRef { entry, resolution, .. } in &towers {
            let (side, most) = (resolution.unwrap_or(1), limits.image_side);
            if side > most {
                let reason = format!(
                    "`mm_vision_tower_aux_list`: `{entry}` asks for pictures of {side} pixels a side; {most} are allowed"
                );
                return Err(over_limit(path, reason));
            }
        }
        let families: Vec<_> = towers.iter().map(|t| t.family).collect();
        ensure(path, families == [TowerFamily::Siglip, TowerFamily::Dinov2], || {
            format!(
                "`mm_vision_tower_aux_list` is {:?}; LongVU has two towers, SigLIP first and DINOv2 last",
                self.mm_vision_tower_aux_list
            )
        })?;
        ensure(path, self.tokenizer_model_max_length > self.inference_max_length, || {
            format!(
                "`tokenizer_model_max_length` ({}) must exceed `inference_max_length` ({}), the room for the answer",
                self.tokenizer_model_max_length, self.inference_max_length
            )
        })
    }

    /// Checks that each of `overrides` replaces something: files may have more keys than are read, a misspelt setting must
    /// not pass for one that was made.
    fn check_known(&self, path: &Path, overrides: &Map<String, Value>) -> Result<()> {
        let fields = serde_json::to_value(self).map_err(|error| invalid(path, error.to_string()))?;
        let fields = fields.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
        let known: Vec<&str> = fields.chain(rope::CHECKED).collect();
        let unknown = overrides.keys().find(|key| !known.contains(&key.as_str()));
        ensure(path, unknown.is_none(), || {
            let unknown = unknown.map_or("", String::as_str);
            let near = alike(unknown, known.iter().copied());
            let hint = if near.is_empty() { String::new() } else { format!("; is `{}` meant?", near.join("` or `")) };
            format!("`{unknown}` cannot be replaced: no part of LongVU reads a key of that name{hint}")
        })
    }

    /// The published package discards the scaling of rotary positions for Qwen2, whatever the file says.
    fn check_family(&self, path: &Path) -> Result<()> {
        let scaling = self.decoder.rope_scaling.as_ref().map_or("default", |scaling| scaling.kind());
        ensure(path, self.language_model() != LanguageModel::Qwen2 || scaling == "default", || {
            format!(
                "`rope_scaling` of type `{scaling}` is not part of LongVU's Qwen2, whose published program ignores it; \
                 remove `rope_scaling` from the file (or from `rope_parameters` all but `rope_theta`) to do the same"
            )
        })
    }

    fn check_sizes(&self, path: &Path, limits: &Limits) -> Result<()> {
        let mut sizes = vec![
            ("connector_depth", self.connector_depth, limits.layers),
            ("image_token_len", self.image_token_len, limits.frame_tokens),
            ("vision_hidden_size", self.vision_hidden_size, limits.width),
            ("tokenizer_model_max_length", self.tokenizer_model_max_length, limits.positions),
            ("inference_max_length", self.inference_max_length.max(1), limits.positions),
        ];
        sizes.extend(self.query_num_list.iter().map(|&n| ("query_num_list", n, limits.frame_tokens)));
        let grids = self.mm_vision_tower_aux_token_len_list.iter();
        sizes.extend(grids.map(|&n| ("mm_vision_tower_aux_token_len_list", n, limits.frame_tokens)));
        ensure_sizes(path, &sizes)?;
        let (width, hidden) = (self.vision_hidden_size, self.decoder.hidden_size);
        let parameters = [
            product(&[self.connector_depth, 16, width, width]),
            product(&[
                self.connector_depth,
                2,
                self.mm_vision_tower_aux_token_len_list.first().copied().unwrap_or(1),
                width,
            ]),
            product(&[2, width, hidden]),
            product(&[2, hidden, hidden]),
        ];
        limits.check_parameters(&parameters).map_err(|reason| over_limit(path, format!("the connector: {reason}")))?;
        ensure_finite(path, &[("dino_threshold", self.dino_threshold), ("drop_threshold", self.drop_threshold)])
    }

    fn check_connector(&self, path: &Path) -> Result<()> {
        ensure(path, self.mm_projector_type == "sva", || {
            format!("`mm_projector_type` is `{}`; LongVU's connector is `sva`", self.mm_projector_type)
        })?;
        ensure(path, self.num_query_group == 1 && self.query_num_list.len() == 1, || {
            format!(
                "`num_query_group` is {} with `query_num_list` {:?}; one group is what the released models have",
                self.num_query_group, self.query_num_list
            )
        })?;
        ensure(path, self.connector_only, || {
            "`connector_only` is false; aggregator layers inside the language model are not supported".into()
        })?;
        let tokens = &self.mm_vision_tower_aux_token_len_list;
        ensure(path, tokens.len() == 2 && tokens[0] == tokens[1] && grid_side(tokens[0]).is_some(), || {
            format!("`mm_vision_tower_aux_token_len_list` is {tokens:?}; two equal squares are expected ([576, 576])")
        })?;
        let queries = self.query_num_list[0];
        ensure(path, grid_side(queries).is_some_and(|side| self.feature_side().is_multiple_of(side)), || {
            format!("`query_num_list` [{queries}] is no square grid that divides the towers' {tokens:?}")
        })?;
        ensure(path, self.image_token_len == queries, || {
            format!(
                "`image_token_len` is {} but `query_num_list` says {queries} tokens a frame; released files have shipped \
                 with 144 and 576 mixed up: video models have 144, image-stage models 576. Set both to the number \
                 that the weights were made for",
                self.image_token_len
            )
        })?;
        let side = self.vision_hidden_size;
        ensure(path, side > 0 && side.is_multiple_of(AGGREGATOR_HEADS), || {
            format!("`vision_hidden_size` ({side}) must be a multiple of {AGGREGATOR_HEADS}, the aggregator's heads")
        })?;
        ensure(path, (1..=self.query_side()).contains(&self.lowres_token), || {
            format!("`lowres_token` ({}) must lie between 1 and {}", self.lowres_token, self.query_side())
        })
    }

    /// Attention heads of the aggregator, which no configuration file states.
    pub const fn aggregator_heads(&self) -> usize {
        AGGREGATOR_HEADS
    }
}

const AGGREGATOR_HEADS: usize = 16;

/// Turns `dtype`, as transformers 5 writes it, into `torch_dtype`.
fn rename_dtype(path: &Path, config: &mut Map<String, Value>) -> Result<()> {
    let Some(newer) = config.remove("dtype") else { return Ok(()) };
    let plain = |value: &Value| value.as_str().map(|name| name.trim_start_matches("torch.").to_owned());
    let older = config.get("torch_dtype");
    ensure(path, older.is_none_or(|older| plain(older) == plain(&newer)), || {
        format!("`torch_dtype` is {} and `dtype` is {newer}; remove one", older.unwrap_or(&Value::Null))
    })?;
    config.insert("torch_dtype".into(), newer);
    Ok(())
}

fn family(model_type: &str) -> Option<LanguageModel> {
    match model_type {
        "cambrian_qwen" => Some(LanguageModel::Qwen2),
        "cambrian_llama" => Some(LanguageModel::Llama),
        _ => None,
    }
}
