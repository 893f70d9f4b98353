//! `longvu synth`: a complete model folder of any size, filled by the synthetic rule.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;
use longvu::{Dtype, synthesize, video::path_text};
use serde::Serialize;

use crate::{
    flags::OutputArgs,
    output::{self, Progress},
};

/// Write a model folder with synthetic weights, for tests and measurements.
///
/// CONFIG_DIR holds LongVU's config.json and the towers' in siglip/ and dinov2/. OUT must not exist yet.
#[derive(Debug, Args)]
pub struct SynthArgs {
    /// Folder with the configurations
    pub config_dir: PathBuf,

    /// Folder to write
    pub out: PathBuf,

    /// Number type of the stored weights: f32, f16 or bf16
    #[arg(long, default_value_t = Dtype::Bf16)]
    pub dtype: Dtype,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    folder: String,
    /// Of all weights.
    bytes: u64,
    dtype: String,
    seconds: f64,
}

/// Runs the command.
///
/// # Errors
/// As [`synthesize`], and a stdout that cannot be written to.
pub fn run(args: &SynthArgs) -> Result<()> {
    let start = Instant::now();
    let progress = Progress::new(args.output.quiet, "reading the configurations");
    let total = synthesize(&args.config_dir, &args.out, args.dtype, &progress.watch())?;
    drop(progress);
    let seconds = start.elapsed().as_secs_f64();
    if args.output.json {
        let (folder, dtype) = (path_text(&args.out), args.dtype.to_string());
        output::json(&Printed { folder, bytes: total, dtype, seconds }, true)?;
    }
    if !args.output.quiet {
        let (out, size) = (args.out.display(), HumanBytes(total));
        output::note(&format!("wrote {size} of {} weights to {out} in {seconds:.1} s", args.dtype));
    }
    Ok(())
}
