//! Groups of flags that commands share, and how their values are read.

mod answer;
mod compare;
mod frames;
mod memory;
mod model;
mod output;
mod repeats;
pub mod size;
mod stages;
pub mod time;
mod usage;

pub use self::{
    answer::AnswerArgs,
    compare::Comparison,
    frames::FrameArgs,
    memory::MemoryArgs,
    model::{ComputeArgs, ModelArgs, PlaceArgs},
    output::OutputArgs,
    repeats::RepeatArgs,
    stages::StageArgs,
    usage::usage,
};
