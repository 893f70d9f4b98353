#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod baselines;
mod budget;
mod check;
mod error;
mod fastv;
mod fusion;
mod methods;
mod named;
mod pick;
mod preset;
mod prune;
mod query;
mod spatial;
mod spec;
mod temporal;

pub use baselines::{KeepFrames, KeepTokens, ScoreNothing};
pub use budget::Budget;
pub use error::{Error, Result, StageError, StageName};
pub use fastv::FastV;
pub use fusion::{FrameTokens, FusionReport, LaterStages, Layout, VisualTokens, fuse};
pub use methods::{Methods, Settings};
pub use pick::{Aks, Bolt, Candidates, FramePicker, KCenter, Mmr, Others, RandomFrames, TopK, UniformFrames};
pub use preset::{CompressionSettings, Preset, UnknownPreset};
pub use prune::{DivPrune, DyCoke, Evs, FastVid, HoliTom, VidCom2, VisionZip};
pub use query::{FrameScorer, QueryReport, QueryStage, query_guided, score_and_pick};
pub use spatial::{
    PrunedTokens, SpatialReduction, SpatialReport, SpatialStage, TokenChunk, TokenPruner, spatial_reduction,
};
pub use spec::{BadStageSpec, NamedStage, StageSpec};
pub use temporal::{
    FrameSelector, TemporalReduction, TemporalReport, TemporalStage, WindowSelection, WindowSimilarity,
};
