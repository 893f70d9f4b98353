//! `longvu plan`: what a run would take, before anything is loaded.

use std::{num::NonZeroUsize, path::Path};

use anyhow::Result;
use clap::Args;
use longvu::{
    MemoryPlan, Residency, Sampling, VideoOptions, Workload,
    plan::{Compute, ItemKind, ModelSizes, PlanSettings, bytes},
};
use serde_json::Map;

use crate::{
    flags::{ComputeArgs, OutputArgs, PlaceArgs, size, usage},
    output::{
        self, Progress,
        hints::{self, Forecast},
    },
    steps::{memory, model, source::Source},
};

/// Frames of a video that is given by its length alone.
const FULL_HD: (u32, u32) = (1920, 1080);

/// Show what a run would take in memory, step by step, and which settings would fit.
///
/// Nothing is loaded: the forecast follows from the model's configurations, for any device, here or not. Exit code 0
/// whether or not it fits.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub compute: ComputeArgs,

    /// A video or image file, or a length such as 1h, 10m or 90s of a full-HD video
    #[arg(long, value_name = "FILE|LENGTH", default_value = "1h", help_heading = "Frames")]
    pub video: String,

    /// Frames sampled a second
    #[arg(long, value_name = "N", default_value_t = 1.0, allow_negative_numbers = true, help_heading = "Frames")]
    pub fps: f64,

    /// Sample at most N frames
    #[arg(long, value_name = "N", help_heading = "Frames")]
    pub max_frames: Option<NonZeroUsize>,

    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value = "128", help_heading = "Answer")]
    pub max_new_tokens: NonZeroUsize,

    /// Load each part when it is needed, as `ask --low-memory` does
    #[arg(long, help_heading = "Memory")]
    pub low_memory: bool,

    /// Memory to fit in, such as 24GiB [default: what this machine has left, for the CPU]
    #[arg(long, value_name = "SIZE", value_parser = size::memory, help_heading = "Memory")]
    pub device_memory: Option<u64>,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, missing files and inconsistent configurations, and a stdout that cannot be written to.
pub fn run(args: &PlanArgs) -> Result<()> {
    let workload = args.workload()?;
    let ComputeArgs { device, quantize, max_len, tower_batch, .. } = &args.compute;
    let compute = memory::compute(device.as_deref());
    if compute == Compute::Gpu && quantize.is_some() {
        return Err(usage("--quantize is for the CPU; leave --device out, or use --dtype bf16").into());
    }
    let model = model::named(&args.place, args.output.quiet)?;
    let progress = Progress::new(args.output.quiet, "reading the configurations");
    let options = model::repo_options(&args.place, &progress);
    let mut overrides = Map::new();
    if let Some(tokens) = max_len {
        overrides.insert("tokenizer_model_max_length".into(), tokens.get().into());
    }
    let sizes = ModelSizes::read(&model, args.place.towers.as_deref(), &options, &overrides)?;
    drop((options, progress));
    let settings = PlanSettings::new(compute, sizes.max_len())
        .with_weights(args.compute.weights())
        .with_tower_batch(tower_batch.map_or(compute.tower_batch(), NonZeroUsize::get))
        .with_residency(if args.low_memory { Residency::OnDemand } else { Residency::Whole });
    let plan = MemoryPlan::new(&sizes, settings, workload, memory::available(args.device_memory, compute));
    if args.output.json { output::json(&Forecast(&plan), true) } else { output::text(&page(&plan, &args.video)) }
}

impl PlanArgs {
    /// The frames that would be sampled.
    fn workload(&self) -> Result<Workload> {
        let sampling = Sampling::Fps(self.fps);
        let max_frames = self.max_frames.map(NonZeroUsize::get);
        let mut options = VideoOptions::default().with_sampling(sampling);
        options.max_frames = max_frames;
        options.validate().map_err(|e| usage(&e.to_string()))?;
        let (frames, size) = match size::duration(&self.video) {
            Some(seconds) => {
                let frames = (seconds * self.fps).ceil() as usize;
                (frames.max(1).min(max_frames.unwrap_or(usize::MAX)), FULL_HD)
            }
            None => Source::open(Path::new(&self.video), options)?.frames(),
        };
        Ok(memory::workload(frames, size, TEXT, self.max_new_tokens.get()))
    }
}

/// Bytes of the question that a forecast is made for.
const TEXT: usize = 192;

fn page(plan: &MemoryPlan, video: &str) -> String {
    let MemoryPlan { settings, workload, weights, .. } = plan;
    let held = settings.weights;
    let mut text =
        format!("{video}: {} frames of {}x{}; weights in {held}\n", workload.frames, workload.width, workload.height);
    let [siglip, dinov2, connector, language_model] =
        [weights.siglip, weights.dinov2, weights.connector, weights.language_model].map(bytes);
    text += &format!(
        "weights: SigLIP {siglip}, DINOv2 {dinov2}, connector {connector}, language model {language_model}, together {}\n\n",
        bytes(weights.total())
    );
    text += &table(plan);
    text += &format!("\nat most {}", bytes(plan.peak));
    match (plan.available, plan.fits) {
        (Some(available), Some(true)) => text += &format!(", fits in {}\n", bytes(available)),
        (Some(available), _) => text += &format!(", does not fit in {}\n{}", bytes(available), advice(plan)),
        _ => text += "; give --device-memory to learn whether it fits\n",
    }
    text
}

/// The forecast as a table, a line for each step.
fn table(plan: &MemoryPlan) -> String {
    let used = |kind: &ItemKind| plan.stages.iter().any(|stage| stage.bytes(*kind) > 0);
    let counted = |kind: &ItemKind| plan.settings.compute == Compute::Cpu || !kind.on_host();
    let kinds: Vec<ItemKind> = ItemKind::ALL.into_iter().filter(used).filter(counted).collect();
    let mut text = format!("{:26}", "step");
    kinds.iter().for_each(|kind| text += &format!("{:>12}", kind.name()));
    text += &format!("{:>12}\n", "together");
    for stage in &plan.stages {
        text += &format!("{:26}", stage.stage.name());
        for kind in &kinds {
            let shown = match stage.bytes(*kind) {
                0 => String::new(),
                count => bytes(count),
            };
            text += &format!("{shown:>12}");
        }
        text += &format!("{:>12}\n", bytes(stage.total(plan.settings.compute)));
    }
    text
}

fn advice(plan: &MemoryPlan) -> String {
    if plan.advice.is_empty() {
        return "no setting fits: take a smaller model, or a machine with more memory\n".into();
    }
    let line = |advice: &longvu::plan::Advice| format!("  {:>10}  {}\n", bytes(advice.peak), hints::advice(advice));
    let lines: String = plan.advice.iter().map(line).collect();
    format!("what would fit, least loss first:\n{lines}")
}
