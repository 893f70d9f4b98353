//! The language model's part of `config.json`: the usual Qwen2 and Llama keys.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ensure, ensure_finite, ensure_sizes, invalid, over_limit};
use crate::{Limits, Result, limits::product};

/// One token id or several, as `eos_token_id` is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum TokenIds {
    /// A single id.
    One(u32),
    /// A list of ids.
    Many(Vec<u32>),
}

impl TokenIds {
    /// The ids as a slice.
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// Rotary scaling of type `llama3`: low frequencies are slowed down, high ones kept, those between blended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RopeScaling {
    /// `llama3`, or `default` for none.
    #[serde(default)]
    pub rope_type: Option<String>,
    /// What older files call `rope_type`; newer ones may carry both.
    #[serde(default, rename = "type")]
    pub legacy_type: Option<String>,
    /// Division applied to low frequencies.
    #[serde(default)]
    pub factor: f64,
    /// Wavelengths above `original_max_position_embeddings / low_freq_factor` count as low frequencies.
    #[serde(default)]
    pub low_freq_factor: f64,
    /// Wavelengths below `original_max_position_embeddings / high_freq_factor` count as high frequencies.
    #[serde(default)]
    pub high_freq_factor: f64,
    /// Positions that the model was trained on before scaling.
    #[serde(default)]
    pub original_max_position_embeddings: usize,
}

impl RopeScaling {
    /// The kind of scaling: `default` when the file names none.
    pub fn kind(&self) -> &str {
        self.rope_type.as_deref().or(self.legacy_type.as_deref()).unwrap_or("default")
    }
}

/// Sizes and constants of a Qwen2 or Llama decoder, under their Hugging Face names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecoderConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; as many as query heads when absent.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width of one head; `hidden_size / num_attention_heads` when absent.
    #[serde(default)]
    pub head_dim: Option<usize>,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Added to the mean square before the root in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
    /// Rotary scaling, if any.
    #[serde(default)]
    pub rope_scaling: Option<RopeScaling>,
    /// Whether `lm_head` shares the embedding's weight.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether the query, key, value and output projections of a Llama have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether a Llama's feed-forward layers have biases.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Feed-forward activation; only `silu` exists in these families.
    #[serde(default = "default_hidden_act")]
    pub hidden_act: String,
    /// Positions the model was trained on.
    #[serde(default = "default_max_positions")]
    pub max_position_embeddings: usize,
    /// Whether attention is limited to a window; not supported when true.
    #[serde(default)]
    pub use_sliding_window: bool,
    /// Token that begins a text.
    #[serde(default)]
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer.
    #[serde(default)]
    pub eos_token_id: Option<TokenIds>,
    /// Padding token.
    #[serde(default)]
    pub pad_token_id: Option<u32>,
}

impl DecoderConfig {
    /// A decoder of so many tokens, and layers of the given width and heads, whose feed-forward layers are twice as wide; all
    /// else as `config.json` has it by default.
    pub fn new(vocab_size: usize, layers: usize, hidden_size: usize, heads: usize) -> Self {
        Self {
            hidden_size,
            intermediate_size: 2 * hidden_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: None,
            head_dim: None,
            vocab_size,
            rms_norm_eps: 1e-6,
            rope_theta: default_rope_theta(),
            rope_scaling: None,
            tie_word_embeddings: false,
            attention_bias: false,
            mlp_bias: false,
            hidden_act: default_hidden_act(),
            max_position_embeddings: default_max_positions(),
            use_sliding_window: false,
            bos_token_id: None,
            eos_token_id: None,
            pad_token_id: None,
        }
    }
}

fn default_rope_theta() -> f64 {
    10_000.0
}

fn default_hidden_act() -> String {
    "silu".into()
}

fn default_max_positions() -> usize {
    32_768
}

impl DecoderConfig {
    /// Number of key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one attention head.
    pub fn head_size(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Bytes of keys and values kept for one position, with `element` bytes a number.
    pub fn kv_bytes_per_position(&self, element: usize) -> usize {
        let factors = [2, self.num_hidden_layers, self.kv_heads(), self.head_size(), element];
        product(&factors).try_into().unwrap_or(usize::MAX)
    }

    pub(super) fn check(&self, path: &Path, limits: &Limits) -> Result<()> {
        let sizes = [
            ("hidden_size", self.hidden_size, limits.width),
            ("intermediate_size", self.intermediate_size, limits.width),
            ("num_hidden_layers", self.num_hidden_layers, limits.layers),
            ("num_attention_heads", self.num_attention_heads, limits.width),
            ("num_key_value_heads", self.kv_heads(), limits.width),
            ("vocab_size", self.vocab_size, limits.vocabulary),
            ("head_dim", self.head_size(), limits.width),
            ("max_position_embeddings", self.max_position_embeddings, limits.positions),
        ];
        ensure_sizes(path, &sizes)?;
        let (heads, kv) = (self.num_attention_heads, self.kv_heads());
        ensure(path, self.head_dim.is_some() || self.hidden_size.is_multiple_of(heads), || {
            format!("`hidden_size` ({}) is no multiple of `num_attention_heads` ({heads})", self.hidden_size)
        })?;
        ensure(path, heads.is_multiple_of(kv), || {
            format!("`num_attention_heads` ({heads}) is no multiple of `num_key_value_heads` ({kv})")
        })?;
        ensure(path, self.head_size().is_multiple_of(2), || {
            format!("a head of {} channels cannot be rotated; rotary positions need an even width", self.head_size())
        })?;
        ensure(path, self.hidden_act == "silu", || {
            format!("`hidden_act` is `{}`; Qwen2 and Llama decoders use `silu`", self.hidden_act)
        })?;
        ensure(path, !self.use_sliding_window, || {
            "`use_sliding_window` is true; sliding-window attention is not part of LongVU".into()
        })?;
        ensure(path, self.rope_theta > 0.0 && self.rms_norm_eps >= 0.0, || {
            "`rope_theta` must be positive and `rms_norm_eps` not negative".into()
        })?;
        ensure_finite(path, &[("rope_theta", self.rope_theta), ("rms_norm_eps", self.rms_norm_eps)])?;
        self.check_parameters(limits).map_err(|reason| over_limit(path, reason))?;
        self.check_rope_scaling(path, limits)
    }

    fn check_parameters(&self, limits: &Limits) -> std::result::Result<(), String> {
        let (layers, width, head) = (self.num_hidden_layers, self.hidden_size, self.head_size());
        limits.check_parameters(&[
            product(&[self.vocab_size, width, if self.tie_word_embeddings { 1 } else { 2 }]),
            product(&[layers, 2, width, self.num_attention_heads, head]),
            product(&[layers, 2, width, self.kv_heads(), head]),
            product(&[layers, 3, width, self.intermediate_size]),
        ])
    }

    fn check_rope_scaling(&self, path: &Path, limits: &Limits) -> Result<()> {
        let Some(scaling) = &self.rope_scaling else { return Ok(()) };
        let positions = ("original_max_position_embeddings", scaling.original_max_position_embeddings.max(1));
        ensure_sizes(path, &[(positions.0, positions.1, limits.positions)])?;
        let numbers = [
            ("factor", scaling.factor),
            ("low_freq_factor", scaling.low_freq_factor),
            ("high_freq_factor", scaling.high_freq_factor),
        ];
        ensure_finite(path, &numbers)?;
        match scaling.kind() {
            "default" => Ok(()),
            "llama3" => ensure(
                path,
                scaling.factor > 0.0
                    && scaling.low_freq_factor > 0.0
                    && scaling.high_freq_factor > scaling.low_freq_factor
                    && scaling.original_max_position_embeddings > 0,
                || {
                    "`rope_scaling` of type llama3 needs `factor`, `low_freq_factor` < `high_freq_factor` and \
                     `original_max_position_embeddings`"
                        .into()
                },
            ),
            other => {
                let reason = format!(
                    "`rope_scaling` of type `{other}` is not supported (llama3 is); remove `rope_scaling` from the file, or \
                     from `rope_parameters` all but `rope_theta`, if the model was trained without"
                );
                Err(invalid(path, reason))
            }
        }
    }
}
