//! The command line: commands, and the groups of flags that they share.

pub mod size;
pub mod time;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser, error::ErrorKind};
use longvu::{Dtype, GenerationConfig, Preset, Quantize, Sampling, VideoOptions};

use crate::commands::{
    ask::AskArgs, chat::ChatArgs, devices::DevicesArgs, encode::EncodeArgs, formats::FormatsArgs, inspect::InspectArgs,
    plan::PlanArgs, probe::ProbeArgs, synth::SynthArgs,
};

/// Ask questions about long videos.
#[derive(Debug, Parser)]
#[command(name = "longvu", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Log more to stderr: -v, -vv (RUST_LOG overrides)
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Output")]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Ask(Box<AskArgs>),
    Chat(Box<ChatArgs>),
    Encode(Box<EncodeArgs>),
    Inspect(InspectArgs),
    Plan(PlanArgs),
    Probe(ProbeArgs),
    Synth(SynthArgs),
    #[cfg(feature = "train")]
    Train(Box<crate::commands::train::TrainArgs>),
    #[cfg(feature = "train")]
    BenchAccuracy(Box<crate::commands::accuracy::AccuracyArgs>),
    #[cfg(feature = "train")]
    Demo(crate::commands::demo::DemoArgs),
    Devices(DevicesArgs),
    Formats(FormatsArgs),
}

/// Where a model is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct PlaceArgs {
    /// Folder that holds the vision towers' folders [default: in or beside the model, else the Hub]
    #[arg(long, value_name = "DIR")]
    pub towers: Option<PathBuf>,

    /// Branch, tag or commit of a model on the Hub
    #[arg(long, value_name = "REV", value_parser = NonEmptyStringValueParser::new())]
    pub revision: Option<String>,
}

/// Which model.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct NameArgs {
    /// Model folder, or a Hub id such as Vision-CAIR/LongVU_Qwen2_7B [default: the small one that is built in]
    #[arg(short, long, env = "LONGVU_MODEL", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub model: Option<String>,
}

/// Which model, and how it is run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    #[command(flatten)]
    pub name: NameArgs,

    #[command(flatten)]
    pub place: PlaceArgs,

    /// Where to compute: cpu, cuda:0, vulkan:0, … as `longvu devices` lists them [default: cpu]
    #[arg(short, long)]
    pub device: Option<String>,

    /// Number type of weights, and on GPUs of computation: f32, f16 or bf16
    #[arg(long, default_value_t = Dtype::F32)]
    pub dtype: Dtype,

    /// Hold linear layers in integers, less exact and smaller: int8 or int4
    #[arg(long, value_name = "BITS")]
    pub quantize: Option<Quantize>,

    /// Similarity from which the temporal stage drops a frame, instead of the preset's
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = finite)]
    pub dino_threshold: Option<f64>,

    /// Similarity from which the spatial stage drops a token, instead of the preset's
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = finite)]
    pub drop_threshold: Option<f64>,

    /// Longest prompt in tokens, video included, instead of the model's
    #[arg(long, value_name = "N")]
    pub max_len: Option<NonZeroUsize>,

    /// Frames that go through a tower at once [default: 1 on the CPU, 8 elsewhere]
    #[arg(long, value_name = "N")]
    pub tower_batch: Option<NonZeroUsize>,

    /// Read weights instead of mapping them: slower, and safe when the files may change while the program runs
    #[arg(long)]
    pub no_mmap: bool,

    /// Frames of a long video that wait in memory until it is known which are kept, the others on disk [default: 16]
    #[arg(long, value_name = "N")]
    pub waiting_frames: Option<usize>,
}

/// Which frames are looked at.
#[derive(Debug, Args)]
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

/// How answers are generated.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answer")]
pub struct AnswerArgs {
    /// Longest answer in tokens
    #[arg(long, value_name = "N", default_value = "128")]
    pub max_new_tokens: NonZeroUsize,

    /// Draw tokens at random, more freely the higher; 0 takes the likeliest
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub temperature: f32,

    /// Draw among the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,

    /// Draw among the K likeliest tokens
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,

    /// Above 1, make repeated tokens less likely
    #[arg(long, value_name = "X", default_value_t = 1.0, allow_negative_numbers = true)]
    pub repetition_penalty: f32,

    /// Seed of the random draws, for answers that can be had again
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// End the answer before this text (repeatable)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,

    /// System prompt, instead of the usual one; "" for none
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
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
        let options =
            VideoOptions { sampling, start: self.start, end: self.end, max_frames, ..VideoOptions::default() };
        options.validate().map_err(|e| usage(&e.to_string()))?;
        Ok(options)
    }
}

impl FrameArgs {
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

impl AnswerArgs {
    /// The settings, checked; end tokens come from the model later.
    ///
    /// # Errors
    /// A usage error for values out of range.
    pub fn config(&self) -> Result<GenerationConfig, clap::Error> {
        let config = GenerationConfig {
            max_new_tokens: self.max_new_tokens.get(),
            temperature: Some(self.temperature),
            top_p: self.top_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
            stop_strings: self.stop.clone(),
            eos_token_ids: Vec::new(),
        };
        config.validate().map_err(|e| usage(&e.to_string()))?;
        Ok(config)
    }
}

/// An error in how the program was called, which ends it with clap's exit code 2.
pub fn usage(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n"))
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| "write a number such as 0.5".to_owned())
}

/// A path as it is shown.
pub fn shown(path: &Path) -> String {
    longvu::video::path_text(path)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal() {
        for name in ["ask", "chat", "encode", "probe"] {
            let mut command = Cli::command();
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            assert!(help.lines().count() < 60, "{help}");
        }
    }
}
