//! A run: flags, model, progress.

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use longvu::Preset;
use longvu_eval::{
    Choose, DataSet, Encodings, EvalProgress, EvalSettings, Evaluation, PromptStyle, RunFolder, Selection, Shard,
    by_name,
};

use super::table;
use crate::{
    flags::{MemoryArgs, ModelArgs, OutputArgs},
    output::{self, Progress},
    steps::{identity::identity, memory, model},
};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Folder of the data set, as it is downloaded
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Folder for the run; one that was begun with the same settings is gone on with
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,

    /// Ask the first N questions
    #[arg(long, value_name = "N", help_heading = "Questions")]
    pub limit: Option<NonZeroUsize>,

    /// Ask questions of these groups only: long, or plotQA,count
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',', help_heading = "Questions")]
    pub subset: Vec<String>,

    /// Ask part I of N, counted from 0, or auto, by SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or RANK
    #[arg(long, value_name = "I/N", default_value = "0/1", help_heading = "Questions")]
    pub shard: Shard,

    /// Leave out missing videos, and say so in the result
    #[arg(long, help_heading = "Questions")]
    pub skip_missing: bool,

    /// Stop at a video that cannot be read, instead of noting it
    #[arg(long, help_heading = "Questions")]
    pub strict: bool,

    /// Keep encoded videos here by content, so that other questions later do no work of the towers
    #[arg(long, value_name = "DIR", help_heading = "Frames")]
    pub encodings: Option<PathBuf>,

    /// Whose prompts: package or lmms-eval
    #[arg(long, default_value_t = PromptStyle::Package, help_heading = "Prompt")]
    pub prompt: PromptStyle,

    /// How an option is chosen: letter reads one from the answer, likelihood takes the likeliest next token
    #[arg(long, default_value_t = Choose::Letter, help_heading = "Prompt")]
    pub choose: Choose,

    /// Put the subtitles of the sampled frames into the prompt
    #[arg(long, help_heading = "Prompt")]
    pub subtitles: bool,

    /// Longest answer in tokens [default: 5, or 16 as lmms-eval asks]
    #[arg(long, value_name = "N", help_heading = "Prompt")]
    pub max_new_tokens: Option<NonZeroUsize>,

    /// System prompt, instead of the usual one; "" for none
    #[arg(long, value_name = "TEXT", help_heading = "Prompt")]
    pub system: Option<String>,

    /// Published settings of thresholds [default: the data set's]
    #[arg(long, help_heading = "Frames")]
    pub preset: Option<Preset>,

    /// Frames sampled a second [default: the data set's]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Frames")]
    pub fps: Option<f64>,

    /// Sample at most N frames, evenly spread
    #[arg(long, value_name = "N", help_heading = "Frames")]
    pub max_frames: Option<NonZeroUsize>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

fn positive(text: &str) -> Result<f64, String> {
    let fps = text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0);
    fps.ok_or_else(|| "write a number above 0, such as 0.5".to_owned())
}

impl RunArgs {
    /// Runs the evaluation over the data set of this name.
    ///
    /// # Errors
    /// As [`Evaluation::prepare`] and [`Evaluation::run`].
    pub fn run(&self, name: &str) -> Result<()> {
        let data_set = by_name(name)?;
        let preset = self.preset.unwrap_or_else(|| data_set.preset());
        let settings = self.settings(data_set.as_ref());
        let evaluation = Evaluation::prepare(data_set, &self.data, settings, self.selection())?;
        let missing = evaluation.missing();
        if !missing.is_empty() {
            output::warning(&format!("{} missing videos are left out: {}", missing.len(), missing.join(", ")));
        }
        let quiet = self.output.quiet;
        let builder = model::builder(&self.model, preset, quiet)?;
        let workload = memory::workload(LONG.0, LONG.1, LONGEST_PROMPT, evaluation.settings().max_new_tokens);
        let loaded = model::load(memory::settle_for(builder, &self.memory, &self.model, workload)?, quiet)?;
        let about = serde_json::to_value(identity(&loaded.model, &self.model, preset)?)
            .context("the model's settings cannot be put as JSON")?;
        let encodings = self.encodings.as_ref().map(|folder| Encodings::new(folder, &about)).transpose()?;
        let evaluation = evaluation.with_encodings(encodings);
        let progress = Progress::new(quiet, "asking");
        let told = |told: EvalProgress<'_>| progress.evaluating(&score(&told), told.done, told.questions);
        let result = evaluation.run(&loaded.model, about, &RunFolder::new(&self.out), told)?;
        drop(progress);
        table::print(&result, &self.output)
    }

    fn settings(&self, data_set: &dyn DataSet) -> EvalSettings {
        let mut settings = EvalSettings::of(data_set);
        settings.prompt = self.prompt;
        settings.choose = self.choose;
        settings.subtitles = self.subtitles;
        settings.max_new_tokens = self.max_new_tokens.map_or(self.prompt.max_new_tokens(), NonZeroUsize::get);
        settings.system.clone_from(&self.system);
        settings.frames.fps = self.fps.unwrap_or(settings.frames.fps);
        settings.frames.max_frames = self.max_frames.map(NonZeroUsize::get);
        settings
    }

    fn selection(&self) -> Selection {
        let mut selection = Selection::default();
        selection.limit = self.limit.map(NonZeroUsize::get);
        selection.subset.clone_from(&self.subset);
        selection.shard = self.shard;
        (selection.skip_missing, selection.strict) = (self.skip_missing, self.strict);
        selection
    }
}

/// A long video of a data set, for the forecast of memory: an hour at a frame in two seconds.
const LONG: (usize, (u32, u32)) = (1800, (1280, 720));

/// Bytes of a prompt with subtitles.
const LONGEST_PROMPT: usize = 4096;

/// What the progress bar says of the score so far.
fn score(told: &EvalProgress<'_>) -> String {
    match told.scored {
        0 => "asking".to_owned(),
        scored => format!("{:.1} % of {scored} right", 100.0 * told.right as f64 / scored as f64),
    }
}
