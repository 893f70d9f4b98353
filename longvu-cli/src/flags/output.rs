//! What is printed.

use clap::Args;

/// What is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,

    /// Nothing but results, warnings and errors: no progress bars, no closing lines
    #[arg(short, long)]
    pub quiet: bool,
}
