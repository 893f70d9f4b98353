//! From a model's sizes to the forecast of a run, and the search for settings that would make it fit.

use longvu_core::{Dtype, Quantize};

use crate::{
    Residency,
    plan::{
        advice::{Advice, Change},
        memory_plan::MemoryPlan,
        settings::{Compute, PlanSettings, Workload},
        sizes::ModelSizes,
        stage_memory::StageMemory,
        stages::stages,
    },
};

impl MemoryPlan {
    /// The forecast for `model`; with `available` bytes known also whether it fits, and what would.
    pub fn new(model: &ModelSizes, settings: PlanSettings, workload: Workload, available: Option<u64>) -> Self {
        let stages = stages(model, &settings, &workload);
        let peak = peak(&stages, settings.compute);
        let fits = available.map(|available| peak <= available);
        let advice = match (fits, available) {
            (Some(false), Some(available)) => advise(model, &settings, &workload, available),
            _ => Vec::new(),
        };
        let weights = model.weights(&settings);
        Self { settings, workload, weights, stages, peak, available, fits, advice }
    }
}

fn peak(stages: &[StageMemory], compute: Compute) -> u64 {
    stages.iter().map(|stage| stage.total(compute)).max().unwrap_or_default()
}

/// Sets of changes listed at most.
const LISTED: usize = 4;

/// Sets of changes with which a run fits in `available` bytes, least loss first, none of which contains another.
fn advise(model: &ModelSizes, settings: &PlanSettings, workload: &Workload, available: u64) -> Vec<Advice> {
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
        let peak = peak(&stages(model, &settings, &workload), settings.compute);
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
    let residency = (settings.residency != Residency::OnDemand).then_some(Change::OnDemand);
    let batch = (settings.tower_batch > 1 && workload.frames > 1).then_some(Change::TowerBatch(1));
    let mut weights = Vec::new();
    if settings.weights.quantize.is_none() && settings.weights.dtype == Dtype::F32 {
        weights.push(Change::Dtype(Dtype::Bf16));
    }
    if settings.compute == Compute::Cpu {
        let smaller =
            |quantize: &Quantize| settings.weights.quantize.is_none_or(|now| now != *quantize && now == Quantize::Int8);
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
