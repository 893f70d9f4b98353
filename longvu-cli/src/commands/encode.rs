//! `longvu encode`: a video or image through the towers, kept as a file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Args;
use longvu::{EncodeTimings, EncodedVideo, Residency, TowerFrames, VisualKind, video::path_text};
use serde::Serialize;

use crate::{
    flags::{FrameArgs, MemoryArgs, ModelArgs, OutputArgs, usage},
    output::{self, OutFile, summary},
    steps::{
        memory, model,
        source::{Decoded, Input, Source},
    },
};

/// Encode a video or image once, for `ask` and `chat` to take in its place.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// Video or image
    pub file: PathBuf,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    /// The file to write, clip.longvu for one
    #[arg(short, long, value_name = "OUT.longvu", help_heading = "Output")]
    pub out: PathBuf,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    file: String,
    bytes: u64,
    kind: VisualKind,
    sampled: usize,
    held: usize,
    towers: TowerFrames,
    timings: EncodeTimings,
    warnings: &'a [String],
}

/// Runs the command.
///
/// # Errors
/// Usage errors, and whatever loading, decoding, encoding and writing come upon.
pub fn run(args: &EncodeArgs) -> Result<()> {
    let (options, out) = (args.frames.options()?, &args.out);
    if output::is_same_file(&args.file, out) {
        return Err(usage("--out names the FILE that is encoded and would overwrite it; name another").into());
    }
    if !OutFile::prepare("the encoded video", out)?.is_file() {
        bail!("the encoded video cannot be written to {}: it is no file; name another place", out.display());
    }
    let quiet = args.output.quiet;
    let builder = model::builder(&args.model, args.frames.preset, quiet)?;
    let input = Input::Media(Box::new(Source::open(&args.file, options)?));
    let (builder, forecast) = memory::settle(builder, &args.memory, &args.model, Some(&input), None)?;
    // Nothing is asked, so the language model stays where it is.
    let whole = forecast.settings.residency == Residency::Whole;
    let builder = if whole { builder.residency(Residency::Towers) } else { builder };
    let loaded = model::load((builder, forecast), quiet)?;
    let open = input.seconds();
    let (encoded, decoded) = input.encode(&loaded.model, quiet)?;
    encoded.save(out)?;
    let bytes = fs::metadata(out).map_or(0, |file| file.len());
    if args.output.json {
        output::json(&printed(out, bytes, &encoded, &decoded), true)?;
    }
    if !quiet {
        let steps = summary::encode_steps(open, loaded.seconds, &encoded.timings());
        output::note(&summary::encoded_line(&encoded, &steps));
        output::note(&format!("wrote {} ({:.1} MB)", out.display(), bytes as f64 / 1e6));
    }
    Ok(())
}

fn printed<'a>(out: &Path, bytes: u64, encoded: &EncodedVideo, decoded: &'a Decoded) -> Printed<'a> {
    Printed {
        file: path_text(out),
        bytes,
        kind: encoded.kind(),
        sampled: encoded.sampled_frames(),
        held: encoded.frames().len(),
        towers: encoded.tower_frames(),
        timings: encoded.timings(),
        warnings: &decoded.warnings,
    }
}
