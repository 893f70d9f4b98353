//! `config.json` of a DINOv2 tower.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ensure, ensure_finite, ensure_input_side, ensure_sizes, over_limit, parse, read_object};
use crate::{Limits, Result, limits::product};

/// Sizes of a DINOv2, under their Hugging Face names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dinov2Config {
    /// `dinov2`.
    #[serde(default = "model_type")]
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Feed-forward width as a multiple of `hidden_size`, before the SwiGLU correction.
    #[serde(default = "mlp_ratio")]
    pub mlp_ratio: f64,
    /// SwiGLU feed-forward (giant) or a GELU MLP (small, base, large).
    #[serde(default)]
    pub use_swiglu_ffn: bool,
    /// Side in pixels that the position grid was trained for.
    #[serde(default = "image_size")]
    pub image_size: usize,
    /// Side of a patch in pixels.
    #[serde(default = "patch_size")]
    pub patch_size: usize,
    /// Colour channels.
    #[serde(default = "num_channels")]
    pub num_channels: usize,
    /// Added to the variance in layer norms.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Biases on queries, keys and values.
    #[serde(default = "qkv_bias")]
    pub qkv_bias: bool,
}

fn model_type() -> String {
    "dinov2".into()
}
fn mlp_ratio() -> f64 {
    4.0
}
fn image_size() -> usize {
    224
}
fn patch_size() -> usize {
    16
}
fn num_channels() -> usize {
    3
}
fn layer_norm_eps() -> f64 {
    1e-6
}
fn qkv_bias() -> bool {
    true
}

impl Dinov2Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// A missing or malformed file, another `model_type`, or sizes that do not fit each other.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_within(path, &Limits::default())
    }

    /// The same, with limits of the caller's.
    ///
    /// # Errors
    /// As [`Dinov2Config::read`].
    pub fn read_within(path: &Path, limits: &Limits) -> Result<Self> {
        let raw = read_object(path, limits)?;
        let activation = raw.get("hidden_act").and_then(|v| v.as_str()).unwrap_or("gelu").to_owned();
        let config: Self = parse(path, raw)?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        ensure(path, config.model_type == "dinov2", || {
            format!("`model_type` is `{}`, expected `dinov2`", config.model_type)
        })?;
        ensure(path, heads > 0 && width > 0 && width.is_multiple_of(heads), || {
            format!("`hidden_size` ({width}) must be a multiple of `num_attention_heads` ({heads})")
        })?;
        ensure(path, config.patch_size > 0 && config.image_size >= config.patch_size, || {
            "`image_size` must be at least one `patch_size`".into()
        })?;
        ensure(path, config.mlp_ratio > 0.0 && config.mlp_ratio < 1e3, || "`mlp_ratio` must be positive".into())?;
        let sizes = [
            ("hidden_size", width, limits.width),
            ("num_hidden_layers", config.num_hidden_layers, limits.layers),
            ("image_size", config.image_size, limits.image_side),
            ("patch_size", config.patch_size, limits.image_side),
            ("mlp_ratio", config.intermediate_size(), limits.width),
        ];
        ensure_sizes(path, &sizes)?;
        ensure_input_side(path, config.image_size, config.patch_size, limits)?;
        let parameters = [
            product(&[config.num_hidden_layers, 4, width, width]),
            product(&[config.num_hidden_layers, 3, width, config.intermediate_size()]),
            product(&[config.position_side(), config.position_side(), width]),
            product(&[3, config.patch_size, config.patch_size, width]),
        ];
        limits.check_parameters(&parameters).map_err(|reason| over_limit(path, reason))?;
        ensure_finite(path, &[("layer_norm_eps", config.layer_norm_eps)])?;
        ensure(path, activation == "gelu" || config.use_swiglu_ffn, || {
            format!("`hidden_act` is `{activation}`; DINOv2 uses `gelu`")
        })?;
        ensure(path, config.layer_norm_eps >= 0.0, || "`layer_norm_eps` must not be negative".into())?;
        ensure(path, config.num_channels == 3, || "`num_channels` must be 3 (RGB)".into())?;
        Ok(config)
    }

    /// Checks that an input of `side` pixels, which `path` asks for, is one that the tower can look at.
    ///
    /// # Errors
    /// A side of less than a patch, or of more patches than `limits` allows.
    pub fn check_input_side(&self, path: &Path, side: usize, limits: &Limits) -> Result<()> {
        ensure_input_side(path, side, self.patch_size, limits)
    }

    /// Side of the trained position grid in patches: 37 for 518 pixels.
    pub fn position_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Width of the feed-forward layer; with SwiGLU two thirds of the nominal width, rounded up to a multiple of 8.
    pub fn intermediate_size(&self) -> usize {
        let nominal = (self.hidden_size as f64 * self.mlp_ratio) as usize;
        if self.use_swiglu_ffn { ((nominal as f64 * 2.0 / 3.0) as usize).div_ceil(8) * 8 } else { nominal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giant_has_the_published_swiglu_width() {
        let json = r#"{"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24,
            "use_swiglu_ffn": true, "image_size": 518, "patch_size": 14}"#;
        let config: Dinov2Config = serde_json::from_str(json).unwrap();
        assert_eq!(config.intermediate_size(), 4096);
        assert_eq!(config.position_side(), 37);
    }
}
