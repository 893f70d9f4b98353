//! The command line: which commands there are.

use anyhow::Result;
use clap::{Parser, Subcommand};

#[cfg(feature = "serve")]
use crate::commands::serve;
#[cfg(feature = "train")]
use crate::commands::{accuracy, demo, train};
use crate::commands::{
    ask, batch, chat, compress, devices, doctor, encode, eval, explain, features, formats, inspect, plan, probe,
    stages, synth,
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
    Ask(Box<ask::AskArgs>),
    Chat(Box<chat::ChatArgs>),
    Encode(Box<encode::EncodeArgs>),
    Eval(eval::EvalArgs),
    Batch(Box<batch::BatchArgs>),
    Features(Box<features::FeaturesArgs>),
    Compress(compress::CompressArgs),
    Explain(Box<explain::ExplainArgs>),
    Inspect(inspect::InspectArgs),
    Plan(plan::PlanArgs),
    Probe(probe::ProbeArgs),
    #[cfg(feature = "serve")]
    Serve(Box<serve::ServeArgs>),
    Synth(synth::SynthArgs),
    #[cfg(feature = "train")]
    Train(Box<train::TrainArgs>),
    #[cfg(feature = "train")]
    BenchAccuracy(Box<accuracy::AccuracyArgs>),
    #[cfg(feature = "train")]
    Demo(demo::DemoArgs),
    Devices(devices::DevicesArgs),
    Doctor(doctor::DoctorArgs),
    Formats(formats::FormatsArgs),
    Stages(stages::StagesArgs),
}

impl Command {
    /// Whether it goes through towers.
    fn is_heavy(&self) -> bool {
        match self {
            Self::Ask(_)
            | Self::Chat(_)
            | Self::Encode(_)
            | Self::Explain(_)
            | Self::Features(_)
            | Self::Eval(_)
            | Self::Batch(_)
            | Self::Doctor(_) => true,
            #[cfg(feature = "serve")]
            Self::Serve(_) => true,
            _ => false,
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Wrong usage as [`clap::Error`], and whatever the command comes upon.
    pub fn run(&self) -> Result<()> {
        if self.is_heavy() {
            longvu::tune_allocator();
        }
        match self {
            Self::Ask(args) => ask::run(args),
            Self::Chat(args) => chat::run(args),
            Self::Encode(args) => encode::run(args),
            Self::Eval(args) => eval::run(args),
            Self::Batch(args) => batch::run(args),
            Self::Features(args) => features::run(args),
            Self::Compress(args) => compress::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Plan(args) => plan::run(args),
            Self::Probe(args) => probe::run(args),
            #[cfg(feature = "serve")]
            Self::Serve(args) => serve::run(args),
            Self::Synth(args) => synth::run(args),
            #[cfg(feature = "train")]
            Self::Train(args) => train::run(args),
            #[cfg(feature = "train")]
            Self::BenchAccuracy(args) => accuracy::run(args),
            #[cfg(feature = "train")]
            Self::Demo(args) => demo::run(args),
            Self::Devices(args) => devices::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Formats(args) => formats::run(args),
            Self::Stages(args) => stages::run(args),
        }
    }
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
        for name in ["ask", "chat", "encode", "explain", "features", "compress", "probe"] {
            let mut command = Cli::command();
            let help = command.find_subcommand_mut(name).unwrap().render_help().to_string();
            assert!(help.lines().count() < 60, "{help}");
        }
    }
}
