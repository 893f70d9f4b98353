//! What a page shows, and `--json` writes.

use longvu::{DecoderReport, Explanation, FinishReason, TowerFrames, VisualExplanation};
use serde::Serialize;

use crate::{
    output::summary::Timings,
    steps::{described::ModelReport, given::Setting},
};

/// A question about a file, and the runs that answered it.
#[derive(Debug, Serialize)]
pub struct Data {
    pub longvu: &'static str,
    pub file: String,
    pub question: String,
    /// One, or two that are compared.
    pub runs: Vec<Run>,
}

impl Data {
    /// These runs, by this version of the program.
    pub fn new(file: String, question: String, runs: Vec<Run>) -> Self {
        Self { longvu: env!("CARGO_PKG_VERSION"), file, question, runs }
    }
}

/// An answer, and how it came about.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Flags that were given.
    pub settings: Vec<Setting>,
    pub model: ModelReport,
    pub answer: String,
    pub finish_reason: Option<FinishReason>,
    pub generated_tokens: usize,
    pub prompt_tokens: usize,
    pub visual_tokens: usize,
    /// What went on between the layers of the language model, where a stage was named for it.
    pub decoder: Option<DecoderReport>,
    pub explanation: Explanation,
    /// Frames through the towers, and frames that they were spared.
    pub towers: TowerFrames,
    pub steps: Vec<StepCost>,
    pub timings: Timings,
    /// The forecast of memory that went before the run.
    pub forecast: serde_json::Value,
    /// Its steps, and the bytes that each was to take.
    #[serde(skip)]
    pub forecast_steps: Vec<(&'static str, u64)>,
    pub warnings: Vec<String>,
}

impl Run {
    /// The video or image that was asked about.
    pub fn visual(&self) -> Option<&VisualExplanation> {
        self.explanation.visuals.first()
    }
}

/// What a step took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepCost {
    pub step: &'static str,
    pub seconds: f64,
    /// Whether it is a part of the step before, whose parts run beside each other.
    pub within: bool,
    /// Most bytes in memory from the program's start to this step's end, where that was looked at and the system says.
    pub peak: Option<u64>,
}
