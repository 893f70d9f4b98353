//! What the towers and the aggregator make of every sampled frame, kept in files: for studies of the stages without a model.

pub(crate) mod read;
pub(crate) mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{VisualKind, compress::Budget, encoded::limits::ENCODED_HEADER_BYTES};

/// The metadata key by which such a file is known.
const KEY: &str = "longvu_features";

/// The layout that this version writes and reads.
const VERSION: u64 = 1;

/// Longest header that is read, in bytes.
const HEADER_BYTES: u64 = ENCODED_HEADER_BYTES;

/// Names of the tensors of one row a frame that are no features.
const TIMESTAMPS: &str = "timestamps";
const INDICES: &str = "indices";

/// Features of a frame, by where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeatureKind {
    /// DINOv2's last hidden states, resampled to the aggregator's grid: what the temporal stage looks at.
    Dinov2,
    /// SigLIP's last hidden states, on the same grid.
    Siglip,
    /// The aggregator's cells, before they are projected to the language model's width.
    Aggregated,
}

impl FeatureKind {
    /// All of them, in the order of a file.
    pub const ALL: [Self; 3] = [Self::Dinov2, Self::Siglip, Self::Aggregated];

    /// The name of their tensor.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dinov2 => "dinov2",
            Self::Siglip => "siglip",
            Self::Aggregated => "aggregated",
        }
    }
}

/// The metadata: what the frames were, and the sizes and thresholds of the model that saw them.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    version: u64,
    kind: VisualKind,
    /// Width and height of the frames.
    dimensions: (u32, u32),
    max_len: usize,
    inference_max_length: usize,
    image_token_len: usize,
    lowres_token: usize,
    highres: bool,
    dino_threshold: f64,
    drop_threshold: f64,
    dtype: String,
    quantize: String,
    /// Fingerprint of both towers and the connector.
    checkpoint: String,
    #[serde(default)]
    notes: BTreeMap<String, String>,
    #[serde(default)]
    written_by: String,
}

impl Header {
    fn budget(&self) -> Budget {
        Budget::new(self.max_len)
            .with_inference_max_length(self.inference_max_length)
            .with_image_token_len(self.image_token_len)
            .with_lowres_token(self.lowres_token)
            .with_highres(self.highres)
    }
}
