#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod asking;
mod batch;
mod compare;
mod datasets;
mod error;
mod evaluation;
mod frames;
mod journal;
mod letter;
mod looked;
mod merge;
mod prompt;
mod question;
mod run;
mod score;
mod settings;
mod shard;
mod spec;
mod statistics;
mod style;
mod subtitles;
mod visual;

pub use answer::{AnswerLine, FrameCount, Seconds};
pub use batch::{Batch, BatchItem, BatchProgress, BatchRow, BatchSettings, BatchSummary, SCHEMA_VERSION};
pub use compare::{Comparison, compare};
pub use datasets::{
    DataSet, EgoSchema, Json, Mlvu, MvBench, NAMES as DATA_SETS, OverallRule, Published, VideoMme, by_name,
};
pub use error::{Error, Result};
pub use evaluation::{EvalProgress, Evaluation, Selection};
pub use frames::FrameRule;
pub use letter::LetterRule;
pub use looked::Encodings;
pub use merge::merge;
pub use prompt::prompt;
pub use question::{Question, VideoRef};
pub use run::RunFolder;
pub use score::{EvalResult, Score};
pub use settings::{Choose, EvalSettings};
pub use shard::Shard;
pub use statistics::{McNemar, mcnemar, wilson};
pub use style::PromptStyle;
pub use subtitles::Subtitles;
