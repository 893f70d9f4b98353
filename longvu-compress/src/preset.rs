//! Settings under the names of the sources they come from.

use std::{fmt, str::FromStr};

use longvu_core::ErrorKind;
use serde::Serialize;

use crate::{SpatialStage, TemporalStage};

/// Where settings come from, where the package, the paper and the evaluation scripts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// The published Python package with the checkpoint's thresholds.
    #[default]
    Package,
    /// The paper: windows of 8, self-similarity not counted, temporal reduction always on.
    Paper,
    /// The package's VideoMME script.
    VideoMme,
    /// The package's MLVU script.
    Mlvu,
    /// The package's EgoSchema script.
    EgoSchema,
    /// The package's MVBench script.
    MvBench,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 6] = [Self::Package, Self::Paper, Self::VideoMme, Self::Mlvu, Self::EgoSchema, Self::MvBench];

    /// Frames sampled per second.
    pub fn sample_fps(self) -> f64 {
        match self {
            Self::Package | Self::Paper => 1.0,
            Self::VideoMme | Self::Mlvu | Self::EgoSchema => 0.5,
            Self::MvBench => 2.0,
        }
    }

    /// The stages' settings, with the checkpoint's `dino_threshold` and `drop_threshold` where the source takes them from
    /// there.
    pub fn settings(self, dino_threshold: f64, drop_threshold: f64) -> CompressionSettings {
        let temporal = TemporalStage { threshold: dino_threshold, ..TemporalStage::default() };
        let spatial = SpatialStage { threshold: drop_threshold, ..SpatialStage::default() };
        match self {
            Self::Package => CompressionSettings { temporal, spatial },
            Self::Paper => CompressionSettings {
                temporal: TemporalStage { window: 8, threshold: 0.83, count_self: false, always: true, ..temporal },
                spatial: SpatialStage { threshold: 0.8, ..spatial },
            },
            Self::VideoMme => thresholds(temporal, spatial, 0.83, 0.65),
            Self::Mlvu => thresholds(temporal, spatial, 0.82, 0.77),
            Self::EgoSchema | Self::MvBench => thresholds(temporal, spatial, 0.83, 0.8),
        }
    }
}

fn thresholds(temporal: TemporalStage, spatial: SpatialStage, dino: f64, drop: f64) -> CompressionSettings {
    CompressionSettings {
        temporal: TemporalStage { threshold: dino, ..temporal },
        spatial: SpatialStage { threshold: drop, ..spatial },
    }
}

/// Settings of the stages that have any.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct CompressionSettings {
    /// Stage 1.
    pub temporal: TemporalStage,
    /// Stage 3.
    pub spatial: SpatialStage,
}

impl CompressionSettings {
    /// Sets [`temporal`](Self::temporal).
    #[must_use]
    pub fn with_temporal(mut self, temporal: TemporalStage) -> Self {
        self.temporal = temporal;
        self
    }

    /// Sets [`spatial`](Self::spatial).
    #[must_use]
    pub fn with_spatial(mut self, spatial: SpatialStage) -> Self {
        self.spatial = spatial;
        self
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::Paper => "paper",
            Self::VideoMme => "videomme",
            Self::Mlvu => "mlvu",
            Self::EgoSchema => "egoschema",
            Self::MvBench => "mvbench",
        })
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(s: &str) -> Result<Self, UnknownPreset> {
        let wanted = s.to_ascii_lowercase();
        Self::ALL.into_iter().find(|p| p.to_string() == wanted).ok_or_else(|| UnknownPreset(s.to_owned()))
    }
}

/// A preset name that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no preset is called `{0}`; use package, paper, videomme, mlvu, egoschema or mvbench")]
#[non_exhaustive]
pub struct UnknownPreset(pub String);

impl UnknownPreset {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse::<Preset>().unwrap(), preset);
        }
        let unknown = "imagenet".parse::<Preset>().unwrap_err();
        assert!(unknown.to_string().contains("videomme"));
        assert_eq!(unknown.kind(), ErrorKind::BadInput);
    }
}
