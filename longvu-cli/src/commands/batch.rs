//! `longvu batch`: questions about many videos, a Parquet file for each part.

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use longvu_eval::{Batch, BatchProgress, BatchSettings, Encodings, Shard};

use crate::{
    flags::{AnswerArgs, FrameArgs, MemoryArgs, ModelArgs, OutputArgs},
    output::{self, Progress, SomeFailed},
    steps::{identity::identity, memory, model},
};

/// Ask questions about many videos, or about a part of them.
///
/// LIST has a line {"id": …, "video": …, "questions": […]} for each video; paths are from its folder. OUT gets
/// part-00000-of-00001.parquet, a row for each question; a run that was killed goes on where it was. Videos that cannot be
/// read are rows with an error, which the next run tries again.
///
/// Exit code 0: all answered; 3: some rows have an error; 1: nothing written.
#[derive(Debug, Args)]
pub struct BatchArgs {
    /// File of JSON lines
    #[arg(value_name = "LIST.jsonl")]
    pub list: PathBuf,

    /// Folder for the parts
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Do part I of N, counted from 0, or auto, by SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or RANK
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub shard: Shard,

    /// Keep encoded videos here by content, so that other questions later do no work of the towers
    #[arg(long, value_name = "DIR")]
    pub encodings: Option<PathBuf>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    #[command(flatten)]
    pub answer: AnswerArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// A list that cannot be read, models that fail, folders that cannot be written to, and [`SomeFailed`].
pub fn run(args: &BatchArgs) -> Result<()> {
    let quiet = args.output.quiet;
    let mut settings = BatchSettings::default();
    settings.video = args.frames.options()?;
    settings.generation = args.answer.config()?;
    settings.system.clone_from(&args.answer.system);
    settings.shard = args.shard;
    // Before a model is loaded.
    let list = Batch::open(&args.list, settings.clone())?;
    let longest = list.items().flat_map(|item| &item.questions).map(String::len).max().unwrap_or(0);
    let frames = args.frames.max_frames.map_or(LONG.0, NonZeroUsize::get);
    let workload = memory::workload(frames, LONG.1, longest, settings.generation.max_new_tokens);
    let builder = model::builder(&args.model, args.frames.preset, quiet)?;
    let loaded = model::load(memory::settle_for(builder, &args.memory, &args.model, workload)?, quiet)?;
    let about = serde_json::to_value(identity(&loaded.model, &args.model, args.frames.preset)?)
        .context("the model's settings cannot be put as JSON")?;
    settings.encodings = args.encodings.as_ref().map(|folder| Encodings::new(folder, &about)).transpose()?;
    let batch = list.with_settings(settings);
    let progress = Progress::new(quiet, "asking");
    let told = |told: BatchProgress| progress.evaluating(&failures(told.failed), told.done, told.rows);
    let summary = batch.run(&loaded.model, about, &args.out, told)?;
    drop(progress);
    if args.output.json {
        output::json(&summary, true)?;
    } else {
        output::line(&format!("{}: {} rows", summary.path.display(), summary.rows))?;
    }
    match summary.failed {
        0 => Ok(()),
        failed => {
            let (rows, part, first) = (summary.rows, summary.path.display(), summary.first_error.unwrap_or_default());
            let told = format!(
                "{failed} of {rows} rows of {part} have an error, the first: {first}; the next run tries them again"
            );
            Err(SomeFailed(told).into())
        }
    }
}

/// A long video, for the forecast of memory: an hour at a frame a second.
const LONG: (usize, (u32, u32)) = (3600, (1280, 720));

fn failures(count: usize) -> String {
    match count {
        0 => "asking".into(),
        count => format!("asking ({count} failed)"),
    }
}
