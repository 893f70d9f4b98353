//! The `longvu` program: see README.md.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod commands;
mod crash;
mod flags;
mod heap;
mod output;
mod steps;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::Parser;
use tracing_subscriber::EnvFilter;

#[cfg(feature = "train")]
use crate::commands::{accuracy, demo, train};
use crate::{
    commands::{ask, chat, devices, encode, formats, inspect, plan, probe, synth},
    flags::{Cli, Command},
};

/// The exit code for everything but wrong usage, which has clap's 2.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.verbose);
    match crash::guard(|| run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(usage) => usage.exit(),
            None => {
                output::error(&error);
                ExitCode::from(FAILED)
            }
        },
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    // Those that look at videos.
    if matches!(command, Command::Ask(_) | Command::Chat(_) | Command::Encode(_)) {
        heap::share();
    }
    match command {
        Command::Ask(args) => ask::run(&args),
        Command::Chat(args) => chat::run(&args),
        Command::Encode(args) => encode::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Synth(args) => synth::run(&args),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(&args),
        #[cfg(feature = "train")]
        Command::BenchAccuracy(args) => accuracy::run(&args),
        #[cfg(feature = "train")]
        Command::Demo(args) => demo::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Formats(args) => formats::run(&args),
    }
}

fn start_logging(verbose: u8) {
    let filter = match verbose {
        // Warnings about a video are printed by the program itself, in one form with or without logs.
        0 => "warn,longvu_video=error",
        1 => "warn,longvu=info,longvu_core=info,longvu_llm=info,longvu_compress=info,longvu_vision=info",
        _ => {
            "info,longvu=debug,longvu_core=debug,longvu_llm=debug,longvu_compress=debug,longvu_vision=debug,\
              longvu_video=debug"
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    // A second subscriber is impossible in this program, and logs are not worth failing for.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .try_init();
}
