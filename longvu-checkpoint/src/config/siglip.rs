//! `config.json` of a SigLIP tower: the vision model's own file, or the two-tower file that embeds it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{ensure, ensure_finite, ensure_input_side, ensure_sizes, invalid, over_limit, parse, read_object};
use crate::{Limits, Result, limits::product};

/// Sizes of SigLIP's vision half, under their Hugging Face names; the defaults are Hugging Face's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SiglipConfig {
    /// Width of the residual stream.
    #[serde(default = "hidden_size")]
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    #[serde(default = "intermediate_size")]
    pub intermediate_size: usize,
    /// Number of transformer layers.
    #[serde(default = "layers")]
    pub num_hidden_layers: usize,
    /// Attention heads.
    #[serde(default = "layers")]
    pub num_attention_heads: usize,
    /// Colour channels.
    #[serde(default = "num_channels")]
    pub num_channels: usize,
    /// Input side in pixels.
    #[serde(default = "image_size")]
    pub image_size: usize,
    /// Side of a patch in pixels.
    #[serde(default = "patch_size")]
    pub patch_size: usize,
    /// Added to the variance in layer norms.
    #[serde(default = "layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Feed-forward activation; `gelu_pytorch_tanh`.
    #[serde(default = "hidden_act")]
    pub hidden_act: String,
}

fn hidden_size() -> usize {
    768
}
fn intermediate_size() -> usize {
    3072
}
fn layers() -> usize {
    12
}
fn num_channels() -> usize {
    3
}
fn image_size() -> usize {
    224
}
fn patch_size() -> usize {
    16
}
fn layer_norm_eps() -> f64 {
    1e-6
}
fn hidden_act() -> String {
    "gelu_pytorch_tanh".into()
}

impl SiglipConfig {
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
    /// As [`SiglipConfig::read`].
    pub fn read_within(path: &Path, limits: &Limits) -> Result<Self> {
        let mut raw = read_object(path, limits)?;
        let model_type = raw.get("model_type").and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        match model_type.as_str() {
            "siglip_vision_model" => {}
            "siglip" => {
                raw = raw.get("vision_config").cloned().ok_or_else(|| {
                    invalid(path, "`vision_config` is missing; a file with `model_type` `siglip` has one")
                })?;
            }
            other => {
                return Err(invalid(
                    path,
                    format!("`model_type` is `{other}`, expected `siglip` or `siglip_vision_model`"),
                ));
            }
        }
        let config: Self = parse(path, raw)?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        ensure(path, heads > 0 && width > 0 && width.is_multiple_of(heads), || {
            format!("`hidden_size` ({width}) must be a multiple of `num_attention_heads` ({heads})")
        })?;
        ensure(path, config.patch_size > 0 && config.image_size >= config.patch_size, || {
            "`image_size` must be at least one `patch_size`".into()
        })?;
        let sizes = [
            ("hidden_size", width, limits.width),
            ("intermediate_size", config.intermediate_size, limits.width),
            ("num_hidden_layers", config.num_hidden_layers, limits.layers),
            ("image_size", config.image_size, limits.image_side),
            ("patch_size", config.patch_size, limits.image_side),
        ];
        ensure_sizes(path, &sizes)?;
        ensure_input_side(path, config.image_size, config.patch_size, limits)?;
        let parameters = [
            product(&[config.num_hidden_layers, 4, width, width]),
            product(&[config.num_hidden_layers, 2, width, config.intermediate_size]),
            product(&[config.patch_side(), config.patch_side(), width]),
            product(&[3, config.patch_size, config.patch_size, width]),
        ];
        limits.check_parameters(&parameters).map_err(|reason| over_limit(path, reason))?;
        ensure_finite(path, &[("layer_norm_eps", config.layer_norm_eps)])?;
        ensure(path, config.layer_norm_eps >= 0.0, || "`layer_norm_eps` must not be negative".into())?;
        ensure(path, config.num_channels == 3, || "`num_channels` must be 3 (RGB)".into())?;
        ensure(path, config.hidden_act == "gelu_pytorch_tanh", || {
            format!("`hidden_act` is `{}`; SigLIP uses `gelu_pytorch_tanh`", config.hidden_act)
        })?;
        Ok(config)
    }

    /// Side of the patch grid: 27 for 384 pixels.
    pub fn patch_side(&self) -> usize {
        self.image_size / self.patch_size
    }
}
