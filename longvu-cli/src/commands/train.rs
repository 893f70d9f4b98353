//! `longvu train`: a model from nothing, or a fine-tuned one.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use longvu::{Dtype, Watch, video::path_text};
use longvu_train::{
    AdamWSettings, FileSource, Recipe, SampleSource, StageSettings, Start, TrainProgress, TrainingRun, read_records,
};
use serde::Serialize;

use crate::{
    flags::{OutputArgs, PlaceArgs, usage},
    output::{self, Progress},
    steps::model,
};

/// Train a model from nothing, or fine-tune one on questions and answers.
///
/// OUT holds checkpoints, the log and in the end the trained model, in OUT/model. The same command goes on where it was
/// stopped.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// Folder of the run
    pub out: PathBuf,

    /// Begin with random weights; of the model the configurations alone are read
    #[arg(long, requires = "recipe")]
    pub from_scratch: bool,

    /// What to train, how long and on what, as JSON [default: language model and connector, with the flags below]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,

    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub data: DataArgs,

    #[command(flatten)]
    pub stage: StageArgs,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Data of the language stage; the drawn world unless given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Questions and answers about videos and images, in the published package's format (.json or .jsonl)
    #[arg(long, value_name = "FILE", requires = "validation")]
    pub data: Option<PathBuf>,

    /// Data to validate on
    #[arg(long, value_name = "FILE", requires = "data")]
    pub validation: Option<PathBuf>,

    /// Folder that the data's paths are relative to [default: the data's own]
    #[arg(long, value_name = "DIR", requires = "data")]
    pub media: Option<PathBuf>,

    /// Sample at most N frames of a video
    #[arg(long, value_name = "N", requires = "data")]
    pub max_frames: Option<NonZeroUsize>,
}

/// The language stage, where no recipe says otherwise.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct StageArgs {
    /// Optimizer steps
    #[arg(long, value_name = "N", default_value = "1000", conflicts_with = "recipe")]
    pub steps: NonZeroUsize,

    /// Greatest learning rate
    #[arg(long, value_name = "X", default_value_t = 1e-5, conflicts_with = "recipe")]
    pub lr: f64,

    /// Samples whose gradients are computed together
    #[arg(long, value_name = "N", default_value = "1", conflicts_with = "recipe")]
    pub batch_size: NonZeroUsize,

    /// Batches whose gradients are added up for a step
    #[arg(long, value_name = "N", default_value = "8", conflicts_with = "recipe")]
    pub accumulation: NonZeroUsize,

    /// Steps between validations
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "recipe")]
    pub validate_every: NonZeroUsize,
}

/// Where and when training runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Where to compute: cpu, cuda:0, … as `longvu devices` lists them [default: cpu]
    #[arg(short, long)]
    pub device: Option<String>,

    /// Number type that the trained model is stored in: f32, f16 or bf16
    #[arg(long, default_value_t = Dtype::F16)]
    pub dtype: Dtype,

    /// Threads, which share the batches of a step [default: as many as cores]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,

    /// Minutes between checkpoints
    #[arg(long, value_name = "N", default_value = "5")]
    pub checkpoint_minutes: NonZeroU64,

    /// Stop after N minutes, with a checkpoint to go on from
    #[arg(long, value_name = "N")]
    pub max_minutes: Option<NonZeroU64>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    /// The trained model's folder; none of a run that was stopped.
    model: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, and as [`TrainingRun::run`].
pub fn run(args: &TrainArgs) -> Result<()> {
    let start = Instant::now();
    let recipe = recipe(args)?;
    let data = data(&args.data, recipe.seed)?;
    let model = model::named(&args.place, args.output.quiet)?;
    let device = model::device(args.machine.device.as_deref())?;
    let interrupted = interruption()?;
    let limit = args.machine.max_minutes.map(|minutes| Duration::from_secs(minutes.get().saturating_mul(60)));
    let progress = Progress::new(args.output.quiet, "preparing");
    let (shown, quiet) = (progress.clone(), args.output.quiet);
    let (show, shows) = (progress.watch(), move |step: &TrainProgress| show(&shown, step, quiet));
    let watch = Watch::new(move |told| {
        let late = limit.is_some_and(|limit| start.elapsed() > limit);
        if interrupted.load(Ordering::Relaxed) || late { ControlFlow::Break(()) } else { show.tell(told) }
    });
    let trained = TrainingRun::new(model, recipe, &args.out)
        .with_towers(args.place.towers.clone())
        .with_revision(args.place.revision.clone())
        .with_start(if args.from_scratch { Start::Scratch } else { Start::Pretrained })
        .with_data(data)
        .with_dtype(args.machine.dtype)
        .with_device(device)
        .with_workers(args.machine.workers.map(NonZeroUsize::get))
        .with_checkpoint_every(Duration::from_secs(args.machine.checkpoint_minutes.get().saturating_mul(60)))
        .with_on_progress(shows)
        .with_watch(watch)
        .run();
    drop(progress);
    let trained = match trained {
        Ok(model) => Some(model),
        Err(longvu_train::Error::Cancelled(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if trained.is_none() {
        output::note(&format!("stopped; the same command goes on from {}", args.out.display()));
    }
    match trained {
        model if args.output.json => output::json(&Printed { model: model.as_deref().map(path_text) }, true),
        Some(model) => output::line(&model.display().to_string()),
        None => Ok(()),
    }
}

fn recipe(args: &TrainArgs) -> Result<Recipe> {
    if let Some(path) = &args.recipe {
        return Ok(Recipe::read(path)?);
    }
    let stage = &args.stage;
    let training = StageSettings::new(stage.steps.get(), stage.lr)
        .with_micro_batch(stage.batch_size.get())
        .with_accumulation(stage.accumulation.get())
        .with_lr_floor(0.0)
        .with_warmup(stage.steps.get() * 3 / 100)
        .with_adamw(AdamWSettings::default().with_weight_decay(0.0).with_beta_2(0.999))
        .with_validate_every(stage.validate_every.get());
    training.validate().map_err(|error| usage(&error.to_string()))?;
    Ok(Recipe::fine_tuning(training))
}

fn data(args: &DataArgs, seed: u64) -> Result<Option<[Arc<dyn SampleSource>; 2]>> {
    let (Some(data), Some(validation)) = (&args.data, &args.validation) else { return Ok(None) };
    let source = |path: &Path| -> Result<Arc<dyn SampleSource>> {
        let own = path.parent().unwrap_or(Path::new("."));
        let records = read_records(path, args.media.as_deref().unwrap_or(own))?;
        let max_frames = args.max_frames.map(NonZeroUsize::get);
        Ok(Arc::new(FileSource::new(records, path.display().to_string(), max_frames, seed)?))
    };
    Ok(Some([source(data)?, source(validation)?]))
}

/// Set by the first Ctrl-C, or a request to terminate; a second one ends the program.
fn interruption() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    let stop = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("stopping as soon as a checkpoint is written");
    };
    ctrlc::set_handler(stop).context("cannot watch for Ctrl-C")?;
    Ok(flag)
}

fn show(progress: &Progress, step: &TrainProgress, quiet: bool) {
    progress.training(step);
    if quiet || step.validation.is_empty() {
        return;
    }
    let measures: Vec<String> = step.validation.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    progress.above(&format!(
        "{} {}/{}: loss {:.4}; held out: {}; {} left",
        step.stage,
        step.step,
        step.steps,
        step.loss,
        measures.join(", "),
        indicatif::HumanDuration(step.left),
    ));
}
