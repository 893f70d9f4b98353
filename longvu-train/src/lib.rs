#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod checkpoint;
mod data;
mod error;
mod export;
mod initial;
mod language;
mod limits;
mod log;
mod matching;
mod optimizer;
mod parameters;
mod plot;
mod recipe;
mod run;
mod schedule;
mod scored;
mod tokenizer;
mod towers;
mod trainer;
mod training_run;
mod workers;

pub use data::{Media, Record, VideoGroup, WorldMix};
#[doc(hidden)]
pub use data::{WorldSample, WorldStream, read_records};
pub use error::{Error, Result};
#[doc(hidden)]
pub use initial::initial_values;
#[doc(hidden)]
pub use language::draw_frames;
pub use language::{FileSource, Sample, SampleSource, WorldSource};
pub use log::{LogLine, read_log};
pub use optimizer::{AdamWSettings, MuonSettings};
#[doc(hidden)]
pub use parameters::Parameters;
#[doc(hidden)]
pub use plot::{Series, lines_chart, loss_curves, validation_curves};
pub use recipe::{LanguageRecipe, Recipe, TokenizerRecipe, TowerRecipe};
#[doc(hidden)]
pub use trainer::{Loss, Objective, Trainer};
pub use trainer::{StageSettings, TrainProgress};
pub use training_run::{Start, TrainingRun};
#[doc(hidden)]
pub use workers::Workers;
