//! `longvu features`: what the towers make of every sampled frame, kept as a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::{Args, builder::FalseyValueParser};
use longvu::{
    EncodeTimings, Error, LongVuBuilder, MemoryPlan, Residency, SavedFeatures, TowerFrames, Workload, plan::Change,
    video::path_text,
};
use serde::Serialize;

use crate::{
    flags::{ComputeArgs, FrameArgs, OutputArgs, PlaceArgs, usage},
    output::{self, OutFile, summary},
    steps::{
        memory, model,
        source::{Decoded, Source},
    },
};

/// Write what the towers make of every sampled frame to a file, for `compress` and other programs.
///
/// The file is safetensors: `dinov2` and `siglip`, the towers' hidden states on the aggregator's grid; `aggregated`, its cells;
/// `timestamps` and `indices` of the frames. No stage runs.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// Video or image
    pub file: PathBuf,

    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub compute: ComputeArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    /// Start even if memory is forecast to run out
    #[arg(long, env = "LONGVU_NO_MEMORY_CHECK", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub no_memory_check: bool,

    /// The file to write, clip.safetensors for one
    #[arg(short, long, value_name = "OUT.safetensors", help_heading = "Output")]
    pub out: PathBuf,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    bytes: u64,
    frames: usize,
    towers: TowerFrames,
    timings: EncodeTimings,
    warnings: &'a [String],
}

/// Runs the command.
///
/// # Errors
/// Usage errors, and whatever loading, decoding and writing come upon.
pub fn run(args: &FeaturesArgs) -> Result<()> {
    let (options, out) = (args.frames.options()?, &args.out);
    if output::is_same_file(&args.file, out) {
        return Err(usage("--out names the FILE that is looked at and would overwrite it; name another").into());
    }
    if !OutFile::prepare("the features", out)?.is_file() {
        bail!("the features cannot be written to {}: it is no file; name another place", out.display());
    }
    let quiet = args.output.quiet;
    let source = Source::open(&args.file, options)?;
    let builder = model::computing(model::found(&args.place, quiet)?, &args.compute)?.preset(args.frames.preset);
    let loaded = model::load(fitting(builder, args, &source)?, quiet)?;
    let open = source.seconds;
    let (saved, decoded) = source.save_features(&loaded.model, out, quiet)?;
    let bytes = fs::metadata(out).map_or(0, |file| file.len());
    if args.output.json {
        output::json(&printed(out, bytes, &saved, &decoded), true)?;
    }
    if !quiet {
        let steps = summary::encode_steps(open, loaded.seconds, &saved.timings);
        output::note(&summary::looked_line(&saved, &steps));
        output::note(&format!("wrote {} ({:.1} MB)", out.display(), bytes as f64 / 1e6));
    }
    Ok(())
}

/// Both towers in memory, and the language model nowhere; with the forecast of that.
fn fitting(builder: LongVuBuilder, args: &FeaturesArgs, source: &Source) -> Result<(LongVuBuilder, MemoryPlan)> {
    let builder = builder.residency(Residency::Towers);
    let (frames, size) = source.frames();
    let available = memory::available(None, memory::compute(args.compute.device.as_deref()));
    let mut plan = builder.plan(Workload::encoding(frames, size), available)?;
    if plan.fits == Some(false) && !args.no_memory_check {
        plan.advice.retain(|advice| !advice.changes.contains(&Change::OnDemand));
        return Err(Error::Memory(Box::new(plan)).into());
    }
    Ok((builder, plan))
}

fn printed<'a>(out: &Path, bytes: u64, saved: &SavedFeatures, decoded: &'a Decoded) -> Printed<'a> {
    let (frames, towers, timings) = (saved.frames.len(), saved.towers, saved.timings);
    Printed { file: path_text(out), bytes, frames, towers, timings, warnings: &decoded.warnings }
}
