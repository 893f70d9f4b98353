//! `longvu synth`: a complete model folder of any size, filled by the synthetic rule.

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;
use longvu::{Dtype, synthesize};

use crate::output::{self, Progress};

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

    /// No progress bar and no closing line
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

/// Runs the command.
///
/// # Errors
/// As [`synthesize`].
pub fn run(args: &SynthArgs) -> Result<()> {
    let start = Instant::now();
    let progress = Progress::new(args.quiet, "reading the configurations");
    let mut total = 0;
    synthesize(&args.config_dir, &args.out, args.dtype, |step| {
        total = step.total;
        progress.writing(step);
    })?;
    drop(progress);
    if !args.quiet {
        let (out, size, seconds) = (args.out.display(), HumanBytes(total), start.elapsed().as_secs_f64());
        output::note(&format!("wrote {size} of {} weights to {out} in {seconds:.1} s", args.dtype));
    }
    Ok(())
}
