//! `longvu formats`: which files can be asked about, and which are refused by name.

use anyhow::Result;
use clap::Args;
use longvu::video::{FormatInfo, formats};

use crate::{flags::OutputArgs, output};

/// List the image and video formats that are read, and those that are refused by name.
#[derive(Debug, Args)]
pub struct FormatsArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// A stdout that cannot be written to.
pub fn run(args: &FormatsArgs) -> Result<()> {
    if args.output.json { output::json(&formats(), true) } else { output::text(&page()) }
}

fn page() -> String {
    let line = |format: &FormatInfo| {
        let extensions = if format.extensions.is_empty() { String::new() } else { format.extensions.join(", ") };
        format!("  {:34} {:18} {}\n", format.name, extensions, format.note)
    };
    let list = |read: bool| formats().iter().filter(|format| format.read == read).map(line).collect::<String>();
    format!(
        "Read, told by content and not by name; of containers and codecs those that FFmpeg has:\n{}\nRefused by name:\n{}",
        list(true),
        list(false)
    )
}
