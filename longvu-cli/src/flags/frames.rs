//! Which frames are looked at.

use std::num::NonZeroUsize;

use clap::Args;
use longvu::{Preset, Sampling, VideoOptions};

use super::{
    time,
    usage::{finite, usage},
};

/// Which frames are looked at.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Frames")]
pub struct FrameArgs {
    /// Frames sampled a second [default: the preset's]
    #[arg(long, value_name = "N", group = "sampling", allow_negative_numbers = true, value_parser = finite)]
    pub fps: Option<f64>,

    /// Sample every Kth frame
    #[arg(long, value_name = "K", group = "sampling")]
    pub every: Option<NonZeroUsize>,

    /// Sample N frames, spread evenly
    #[arg(long, value_name = "N", group = "sampling")]
    pub uniform: Option<NonZeroUsize>,

    /// Sample the frames on screen at these times, such as 1.5,0:30
    #[arg(long, value_name = "T,T,…", group = "sampling", value_delimiter = ',', value_parser = time::parse)]
    pub timestamps: Option<Vec<f64>>,

    /// Look from this time on; seconds or [HH:]MM:SS[.s]
    #[arg(long, value_name = "T", value_parser = time::parse)]
    pub start: Option<f64>,

    /// Look until this time
    #[arg(long, value_name = "T", value_parser = time::parse)]
    pub end: Option<f64>,

    /// Sample at most N frames
    #[arg(long, value_name = "N")]
    pub max_frames: Option<NonZeroUsize>,

    /// Published settings of rate and thresholds: package, paper, videomme, mlvu, egoschema or mvbench
    #[arg(long, default_value_t = Preset::Package)]
    pub preset: Preset,
}

impl FrameArgs {
    /// The sampling settings, checked.
    ///
    /// # Errors
    /// A usage error for values that make no sense, alone or together.
    pub fn options(&self) -> Result<VideoOptions, clap::Error> {
        let sampling = match (&self.timestamps, self.every, self.uniform) {
            (Some(times), ..) => Sampling::Timestamps(times.clone()),
            (_, Some(step), _) => Sampling::Every(step.get()),
            (.., Some(count)) => Sampling::Uniform(count.get()),
            _ => Sampling::Fps(self.fps.unwrap_or(self.preset.sample_fps())),
        };
        let max_frames = self.max_frames.map(NonZeroUsize::get);
        let mut options = VideoOptions::default().with_sampling(sampling);
        (options.start, options.end, options.max_frames) = (self.start, self.end, max_frames);
        options.validate().map_err(|e| usage(&e.to_string()))?;
        Ok(options)
    }

    /// Refuses flags that come too late for a video whose frames were chosen when it was encoded.
    ///
    /// # Errors
    /// A usage error that names the flag.
    pub fn refuse_sampling(&self) -> Result<(), clap::Error> {
        let flags = [
            ("--fps", self.fps.is_some()),
            ("--every", self.every.is_some()),
            ("--uniform", self.uniform.is_some()),
            ("--timestamps", self.timestamps.is_some()),
            ("--start", self.start.is_some()),
            ("--end", self.end.is_some()),
            ("--max-frames", self.max_frames.is_some()),
        ];
        match flags.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(usage(&format!(
                "{flag} cannot change an encoded video; leave it out, or give it to `longvu encode`"
            ))),
            None => Ok(()),
        }
    }
}
