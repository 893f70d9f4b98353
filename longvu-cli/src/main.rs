//! The `longvu` program: see README.md.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod cli;
mod commands;
mod crash;
mod doctor;
mod explain;
mod flags;
mod output;
mod sheet;
mod steps;

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::{cli::Cli, output::SomeFailed};

/// The exit code for everything but wrong usage, which has clap's 2.
const FAILED: u8 = 1;

/// The exit code for a part of a batch or an evaluation that was written, though some of it failed.
const SOME_FAILED: u8 = 3;

fn main() -> ExitCode {
    #[cfg(feature = "serve")]
    longvu_server::init();
    let cli = Cli::parse();
    start_logging(cli.verbose);
    match crash::guard(|| cli.command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<clap::Error>() {
            Some(usage) => usage.exit(),
            None => {
                output::error(&error);
                ExitCode::from(if error.is::<SomeFailed>() { SOME_FAILED } else { FAILED })
            }
        },
    }
}

fn start_logging(verbose: u8) {
    let filter = match verbose {
        // Warnings about a video are printed by the program itself, in one form with or without logs.
        // What hf-hub tries again is told by the error that comes of it.
        0 => "warn,longvu_server=info,longvu_video=error,hf_hub=off",
        1 => {
            "warn,hf_hub=error,longvu=info,longvu_server=info,longvu_checkpoint=info,longvu_core=info,longvu_llm=info,longvu_compress=info,longvu_vision=info"
        }
        _ => {
            "info,longvu=debug,longvu_server=debug,longvu_checkpoint=debug,longvu_core=debug,longvu_llm=debug,longvu_compress=debug,longvu_vision=debug,\
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
