//! Loading the model that the flags name.

use std::{num::NonZeroUsize, path::PathBuf, time::Instant};

use anyhow::Result;
use longvu::{
    LongVu, LongVuBuilder, MemoryPlan, Preset,
    checkpoint::{Mapping, RepoOptions},
    compress::StageName,
    parse_device,
};

#[cfg(not(feature = "miniature"))]
use crate::flags::usage;
#[cfg(feature = "miniature")]
use crate::output;
use crate::{
    flags::{ComputeArgs, ModelArgs, PlaceArgs},
    output::Progress,
};

/// A model with the seconds that loading it took, and the memory forecast for its run.
pub struct Loaded {
    pub model: LongVu,
    pub seconds: f64,
    pub forecast: MemoryPlan,
}

/// The model that is asked for; the one that is built in, with a line about it, where none is.
///
/// # Errors
/// A usage error in a program without a built-in model, and a built-in model that cannot be unpacked.
#[cfg(feature = "miniature")]
pub fn named(args: &PlaceArgs, quiet: bool) -> Result<PathBuf> {
    if let Some(model) = &args.model {
        return Ok(model.into());
    }
    if !quiet {
        output::note(INTRODUCTION);
    }
    Ok(longvu::miniature_folder()?)
}

#[cfg(feature = "miniature")]
const INTRODUCTION: &str = "model: the built-in miniature; it knows drawn videos of coloured shapes, digits and letters, \
                            and nothing else (--model names another)";

#[cfg(not(feature = "miniature"))]
pub fn named(args: &PlaceArgs, _quiet: bool) -> Result<PathBuf> {
    let model = args.model.as_ref().map(PathBuf::from);
    model.ok_or_else(|| usage("no model is built in; name one with --model").into())
}

/// The settings for loading a model as it comes.
///
/// # Errors
/// As [`named`].
pub fn found(args: &PlaceArgs, quiet: bool) -> Result<LongVuBuilder> {
    let mut builder = LongVu::builder(named(args, quiet)?);
    if let Some(towers) = &args.towers {
        builder = builder.towers(towers);
    }
    if let Some(revision) = &args.revision {
        builder = builder.revision(revision);
    }
    Ok(builder)
}

/// The settings for loading, with the device found.
///
/// # Errors
/// A device that is not there, and as [`named`].
pub fn builder(args: &ModelArgs, preset: Preset, quiet: bool) -> Result<LongVuBuilder> {
    let builder = computing(found(&args.place, quiet)?, &args.compute)?.preset(preset);
    let mut builder = args.repeats.apply(args.stages.apply(builder));
    if let Some(spec) = &args.decoder {
        builder = builder.named_stage(StageName::Decoder, spec.clone());
    }
    if let Some(threshold) = args.dino_threshold {
        builder = builder.dino_threshold(threshold);
    }
    if let Some(threshold) = args.drop_threshold {
        builder = builder.drop_threshold(threshold);
    }
    if args.no_mmap {
        builder = builder.mapping(Mapping::Read);
    }
    if let Some(frames) = args.waiting_frames {
        builder = builder.waiting_frames(frames);
    }
    Ok(builder)
}

/// The builder with where and how to compute.
///
/// # Errors
/// A device that is not there.
pub fn computing(builder: LongVuBuilder, compute: &ComputeArgs) -> Result<LongVuBuilder> {
    let mut builder = builder.weights(compute.weights()).device(&device(compute.device.as_deref())?);
    if let Some(tokens) = compute.max_len.map(NonZeroUsize::get) {
        builder = builder.max_len(tokens);
    }
    if let Some(frames) = compute.tower_batch.map(NonZeroUsize::get) {
        builder = builder.tower_batch(frames);
    }
    Ok(builder)
}

/// The device of this name; the CPU without one.
///
/// # Errors
/// A device that is not there.
pub fn device(name: Option<&str>) -> Result<longvu::Device> {
    Ok(name.map_or_else(|| Ok(longvu::default_device()), parse_device)?)
}

/// Loads, with a progress bar.
///
/// # Errors
/// As [`LongVuBuilder::load`].
pub fn load((builder, forecast): (LongVuBuilder, MemoryPlan), quiet: bool) -> Result<Loaded> {
    let start = Instant::now();
    let progress = Progress::new(quiet, "loading the model");
    let model = builder.watch(progress.watch()).load()?;
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!(device = ?model.device(), weights = %model.weights(), seconds, "model loaded");
    Ok(Loaded { model, seconds, forecast })
}

/// Where and how repositories are reached, for commands that do not load a model.
pub fn repo_options(place: &PlaceArgs, progress: &Progress) -> RepoOptions {
    RepoOptions::default().with_revision(place.revision.clone()).with_watch(progress.watch())
}
