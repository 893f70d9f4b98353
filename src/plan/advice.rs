//! Settings that would make a run fit.

use std::fmt;

use longvu_core::{Dtype, Quantize};
use serde::{Serialize, Serializer};

use crate::{
    Residency,
    plan::settings::{PlanSettings, Workload},
};

/// Settings that fit, as changes of those that do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// What to set, all of it.
    pub changes: Vec<Change>,
    /// Bytes of the fullest step then.
    pub peak: u64,
}

/// A setting that takes less memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// [`Residency::OnDemand`]: the same answer; a second video reads the towers again.
    OnDemand,
    /// Fewer frames at once through a tower: the same answer, slower on a GPU.
    TowerBatch(usize),
    /// Weights in another dtype: answers may differ in words.
    Dtype(Dtype),
    /// Fewer frames looked at.
    MaxFrames(usize),
    /// A shorter window: fewer visual tokens.
    MaxLen(usize),
    /// Weights in integers: the smaller, the more answers differ.
    Quantize(Quantize),
}

impl Change {
    /// How much is lost by it, in no unit: sums decide which of two sets of changes comes first.
    pub(super) const fn loss(self) -> u32 {
        match self {
            Self::OnDemand => 1,
            Self::TowerBatch(_) => 2,
            Self::Dtype(_) => 4,
            Self::Quantize(Quantize::Int8) => 8,
            Self::MaxFrames(_) => 16,
            Self::MaxLen(_) => 20,
            Self::Quantize(_) => 24,
        }
    }

    pub(super) fn apply(self, settings: &mut PlanSettings, workload: &mut Workload) {
        match self {
            Self::OnDemand => settings.residency = Residency::OnDemand,
            Self::TowerBatch(frames) => settings.tower_batch = frames,
            Self::Dtype(dtype) => settings.weights.dtype = dtype,
            Self::Quantize(quantize) => settings.weights.quantize = Some(quantize),
            Self::MaxFrames(frames) => workload.frames = frames,
            Self::MaxLen(tokens) => settings.max_len = tokens,
        }
    }
}

impl fmt::Display for Change {
    /// The setting and its value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnDemand => f.write_str("residency on_demand"),
            Self::TowerBatch(frames) => write!(f, "tower_batch {frames}"),
            Self::Dtype(dtype) => write!(f, "dtype {dtype}"),
            Self::Quantize(quantize) => write!(f, "quantize {quantize}"),
            Self::MaxFrames(frames) => write!(f, "max_frames {frames}"),
            Self::MaxLen(tokens) => write!(f, "max_len {tokens}"),
        }
    }
}

impl Serialize for Change {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        f.write_str(&changes.join(", "))
    }
}
