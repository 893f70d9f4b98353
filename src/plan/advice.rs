//! Which settings would make a run fit.

use std::fmt;

use longvu_core::{Dtype, Quantize};
use serde::{Serialize, Serializer};

use super::{Compute, ModelSizes, PlanSettings, Workload, peak, stages};
use crate::Residency;

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
    const fn loss(self) -> u32 {
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

    fn apply(self, settings: &mut PlanSettings, workload: &mut Workload) {
        match self {
            Self::OnDemand => settings.residency = Residency::OnDemand,
            Self::TowerBatch(frames) => settings.tower_batch = frames,
            Self::Dtype(dtype) => settings.dtype = dtype,
            Self::Quantize(quantize) => settings.quantize = Some(quantize),
            Self::MaxFrames(frames) => workload.frames = frames,
            Self::MaxLen(tokens) => settings.max_len = tokens,
        }
    }
}

impl fmt::Display for Change {
    /// As the program's flag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnDemand => f.write_str("--low-memory"),
            Self::TowerBatch(frames) => write!(f, "--tower-batch {frames}"),
            Self::Dtype(dtype) => write!(f, "--dtype {dtype}"),
            Self::Quantize(quantize) => write!(f, "--quantize {quantize}"),
            Self::MaxFrames(frames) => write!(f, "--max-frames {frames}"),
            Self::MaxLen(tokens) => write!(f, "--max-len {tokens}"),
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
        f.write_str(&changes.join(" "))
    }
}

/// Sets of changes listed at most.
const LISTED: usize = 4;

/// Sets of changes with which a run fits in `available` bytes, least loss first, none of which contains another.
pub(super) fn advise(model: &ModelSizes, settings: &PlanSettings, workload: &Workload, available: u64) -> Vec<Advice> {
    let mut sets = combinations(&choices(model, settings, workload));
    sets.sort_by_key(|set| (set.iter().map(|change| change.loss()).sum::<u32>(), set.len()));
    let mut found: Vec<Advice> = Vec::new();
    for changes in sets {
        let contains = |advice: &Advice| advice.changes.iter().all(|change| changes.contains(change));
        if found.iter().any(contains) {
            continue;
        }
        let (mut settings, mut workload) = (*settings, *workload);
        changes.iter().for_each(|change| change.apply(&mut settings, &mut workload));
        let peak = peak(&stages::stages(model, &settings, &workload), settings.compute);
        if peak <= available {
            found.push(Advice { changes, peak });
            if found.len() == LISTED {
                break;
            }
        }
    }
    found
}

/// What could be changed: of each list one at most.
fn choices(model: &ModelSizes, settings: &PlanSettings, workload: &Workload) -> Vec<Vec<Change>> {
    let residency = (settings.residency == Residency::Whole).then_some(Change::OnDemand);
    let batch = (settings.tower_batch > 1 && workload.frames > 1).then_some(Change::TowerBatch(1));
    let mut weights = Vec::new();
    if settings.quantize.is_none() && settings.dtype == Dtype::F32 {
        weights.push(Change::Dtype(Dtype::Bf16));
    }
    if settings.compute == Compute::Cpu {
        let smaller =
            |quantize: &Quantize| settings.quantize.is_none_or(|now| now != *quantize && now == Quantize::Int8);
        weights.extend(Quantize::ALL.into_iter().filter(smaller).map(Change::Quantize));
    }
    let budget = model.budget(settings.max_len);
    let counts = [budget.low_frames(workload.text_tokens), budget.high_frames(workload.text_tokens).saturating_sub(1)];
    let fewer = counts.into_iter().filter(|&count| count > 0 && count < workload.frames);
    let shorter = [settings.max_len / 2, settings.max_len / 4];
    let shorter = shorter.into_iter().filter(|&len| model.budget(len).room(workload.text_tokens) > 0);
    vec![
        residency.into_iter().collect(),
        batch.into_iter().collect(),
        weights,
        fewer.map(Change::MaxFrames).collect(),
        shorter.map(Change::MaxLen).collect(),
    ]
}

/// Every set of changes, at least one, at most one of each list.
fn combinations(choices: &[Vec<Change>]) -> Vec<Vec<Change>> {
    let mut sets = vec![Vec::new()];
    for list in choices {
        let longer: Vec<Vec<Change>> =
            sets.iter().flat_map(|set| list.iter().map(move |&change| [&set[..], &[change]].concat())).collect();
        sets.extend(longer);
    }
    sets.retain(|set| !set.is_empty());
    sets
}
