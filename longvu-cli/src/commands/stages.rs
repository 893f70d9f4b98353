//! `longvu stages`: what `--temporal`, `--query`, `--spatial` and `--decoder` can name.

use anyhow::Result;
use clap::Args;
use longvu::compress::{NamedStage, StageName};
use serde::Serialize;

use crate::{flags::OutputArgs, output};

/// List the compression stages that can be had by name, with their settings.
#[derive(Debug, Args)]
pub struct StagesArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Printed {
    temporal: &'static [NamedStage],
    query: &'static [NamedStage],
    spatial: &'static [NamedStage],
    decoder: &'static [NamedStage],
}

/// Runs the command.
///
/// # Errors
/// A stdout that cannot be written to.
pub fn run(args: &StagesArgs) -> Result<()> {
    let [temporal, query, spatial, decoder] =
        [StageName::Temporal, StageName::QueryGuided, StageName::Spatial, StageName::Decoder].map(StageName::known);
    if args.output.json {
        return output::json(&Printed { temporal, query, spatial, decoder }, true);
    }
    let places = [("--temporal", temporal), ("--query", query), ("--spatial", spatial), ("--decoder", decoder)];
    for (flag, stages) in places {
        output::line(&format!("{flag} NAME[:SETTING=VALUE,…]"))?;
        for stage in stages {
            output::line(&format!("  {:10} {}", stage.name, stage.about))?;
            let settings: Vec<String> =
                stage.settings.iter().map(|(name, default)| format!("{name} ({default})")).collect();
            if !settings.is_empty() {
                output::line(&format!("  {:10}   {}", "", settings.join(", ")))?;
            }
        }
    }
    Ok(())
}
