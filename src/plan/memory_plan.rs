//! What a forecast says.

use serde::Serialize;

use crate::{
    Residency,
    plan::{
        advice::Advice,
        settings::{Compute, PlanSettings, Workload},
        stage_memory::{Item, ItemKind, PartWeights, Stage, StageMemory, bytes},
    },
};

/// The forecast of a run's memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryPlan {
    /// How the model is run.
    pub settings: PlanSettings,
    /// What is looked at and asked.
    pub workload: Workload,
    /// Bytes of each part's weights.
    pub weights: PartWeights,
    /// The steps, in order.
    pub stages: Vec<StageMemory>,
    /// Bytes of the fullest step, on the device that computes.
    pub peak: u64,
    /// Bytes that there are, where it is known.
    pub available: Option<u64>,
    /// Whether the peak fits in them.
    pub fits: Option<bool>,
    /// Settings that fit where these do not, least loss first.
    pub advice: Vec<Advice>,
}

impl MemoryPlan {
    /// Bytes that such a run takes with a model that is loaded already, at its fullest: without the program, the weights that
    /// stay, and what loading them left behind.
    ///
    /// Weights that come on demand count, for they may not be there: with [`Residency::OnDemand`] the towers and the language
    /// model, with [`Residency::Towers`] the language model. Runs beside each other take at most the sum.
    pub fn beyond_weights(&self) -> u64 {
        let (compute, weights) = (self.settings.compute, &self.weights);
        let stays = match self.settings.residency {
            Residency::Whole => weights.total(),
            Residency::Towers => weights.total().saturating_sub(weights.language_model),
            Residency::OnDemand => weights.connector,
        };
        let further = |stage: &StageMemory| {
            let bytes = |item: &Item| match item.kind {
                ItemKind::Program => 0,
                ItemKind::Reading if self.settings.residency == Residency::Whole => 0,
                kind if compute != Compute::Cpu && kind.on_host() => 0,
                ItemKind::Weights => item.bytes.saturating_sub(stays),
                _ => item.bytes,
            };
            stage.items.iter().map(bytes).fold(0, u64::saturating_add)
        };
        let loaded = self.stages.iter().filter(|stage| stage.stage != Stage::Load);
        loaded.map(further).max().unwrap_or_default()
    }

    /// What is missing and what to do, in a sentence or two.
    pub fn shortage(&self) -> String {
        self.shortage_with(Advice::to_string)
    }

    /// [`shortage`](Self::shortage) with each advice as `show` puts it: a program has names of its own for settings.
    pub fn shortage_with(&self, show: impl Fn(&Advice) -> String) -> String {
        let available = self.available.map_or("an unknown amount".to_owned(), bytes);
        let mut text = format!("this needs {} of memory, and {available} can be had", bytes(self.peak));
        if let Some(stage) = self.fullest() {
            let counted =
                stage.items.iter().filter(|item| self.settings.compute == Compute::Cpu || !item.kind.on_host());
            let mut items: Vec<&Item> = counted.collect();
            items.sort_by_key(|item| std::cmp::Reverse(item.bytes));
            let parts = items.iter().take(3).map(|item| format!("{} {}", item.kind.name(), bytes(item.bytes)));
            text += &format!(" (most in the step `{}`: {})", stage.stage.name(), parts.collect::<Vec<_>>().join(", "));
        }
        let fitting = self.advice.iter().map(|advice| format!("`{}` ({})", show(advice), bytes(advice.peak)));
        match fitting.collect::<Vec<_>>() {
            list if list.is_empty() => text + "; no setting fits: take a smaller model, or a machine with more memory",
            list => text + "; what would fit, least loss first: " + &list.join(", "),
        }
    }

    /// The fullest step.
    pub fn fullest(&self) -> Option<&StageMemory> {
        self.stages.iter().max_by_key(|stage| stage.total(self.settings.compute))
    }
}
