//! What a model needs in memory, stage by stage, before any of it is loaded.
//!
//! A [`MemoryPlan`] is a pure function of a model's configurations, of settings, and of what is to be looked at. The
//! formulas are those of `docs/memory.md`.

mod advice;
mod forecast;
pub(crate) mod memory;
mod memory_plan;
mod settings;
mod sizes;
mod stage_memory;
mod stages;

pub use advice::{Advice, Change};
pub use memory_plan::MemoryPlan;
pub use settings::{Compute, PlanSettings, Workload};
pub use sizes::ModelSizes;
pub use stage_memory::{Item, ItemKind, PartWeights, Stage, StageMemory, bytes};
