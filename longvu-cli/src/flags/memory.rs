//! How much memory there is, and how it is used.

use clap::{Args, builder::FalseyValueParser};

use super::size;

/// How much memory there is, and how it is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// Load each part when it is needed and let the towers go after the video [default: where memory is short]
    #[arg(long)]
    pub low_memory: bool,

    /// Memory to stay within, such as 24GiB [default: what this machine has left, for the CPU]
    #[arg(long, value_name = "SIZE", value_parser = size::memory)]
    pub device_memory: Option<u64>,

    /// Start even if memory is forecast to run out
    #[arg(long, env = "LONGVU_NO_MEMORY_CHECK", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub no_memory_check: bool,
}
