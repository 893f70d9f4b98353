//! `preprocessor_config.json`: how a tower wants its pixels.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{TowerFamily, TowerRef, ensure, ensure_sizes, parse, read_object};
use crate::{Limits, Result};

/// Input side and colour normalisation of a tower.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PreprocessorConfig {
    /// Side of the square input in pixels.
    pub size: usize,
    /// Per-channel mean, of values in 0..=1.
    pub image_mean: [f32; 3],
    /// Per-channel standard deviation.
    pub image_std: [f32; 3],
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    size: Option<Size>,
    #[serde(default)]
    crop_size: Option<Size>,
    image_mean: [f32; 3],
    image_std: [f32; 3],
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Rect { height: usize, width: usize },
    Edge { shortest_edge: usize },
}

impl Size {
    fn side(&self) -> Option<usize> {
        match *self {
            Self::Side(side) | Self::Edge { shortest_edge: side } => Some(side),
            Self::Rect { height, width } => (height == width).then_some(height),
        }
    }
}

impl PreprocessorConfig {
    /// The values that the family's published checkpoints have, at `size` pixels.
    pub fn published(family: TowerFamily, size: usize) -> Self {
        let (image_mean, image_std) = match family {
            TowerFamily::Siglip => ([0.5; 3], [0.5; 3]),
            TowerFamily::Dinov2 => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        };
        Self { size, image_mean, image_std }
    }

    /// Reads the file at `path` for `tower`, whose `-resNNN` overrides the side that the file states.
    ///
    /// # Errors
    /// A missing or malformed file, or one that states no square input side.
    pub fn read(path: &Path, tower: &TowerRef) -> Result<Self> {
        Self::read_within(path, tower, &Limits::default())
    }

    /// The same, with limits of the caller's.
    ///
    /// # Errors
    /// As [`PreprocessorConfig::read`].
    pub fn read_within(path: &Path, tower: &TowerRef, limits: &Limits) -> Result<Self> {
        let raw: Raw = parse(path, read_object(path, limits)?)?;
        let stated = raw.crop_size.as_ref().or(raw.size.as_ref()).and_then(Size::side);
        let size = tower.resolution.or(stated).unwrap_or(0);
        ensure(path, size > 0, || {
            "`size` states no square input side (such as `{\"height\": 384, \"width\": 384}`)".into()
        })?;
        ensure_sizes(path, &[("size", size, limits.image_side)])?;
        ensure(path, raw.image_std.iter().all(|s| s.is_normal() && *s > 0.0), || {
            "`image_std` must be positive".into()
        })?;
        ensure(path, raw.image_mean.iter().all(|m| m.is_finite()), || "`image_mean` is out of range".into())?;
        Ok(Self { size, image_mean: raw.image_mean, image_std: raw.image_std })
    }
}
