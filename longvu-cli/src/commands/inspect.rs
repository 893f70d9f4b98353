//! `longvu inspect`: what a model consists of and needs, without reading its weights.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;
use longvu::{Dtype, Inspection, PartSize};
use serde::Serialize;

use crate::{
    flags::{OutputArgs, PlaceArgs},
    output::{self, Progress},
    steps::model,
};

/// Show a model's parts, their sizes and the memory they need.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    /// Bytes by dtype.
    memory: BTreeMap<String, Memory>,
}

#[derive(Serialize)]
struct Memory {
    weights: usize,
    kv_cache: usize,
    total: usize,
}

impl Memory {
    fn of(inspection: &Inspection, dtype: Dtype) -> Self {
        let (weights, kv_cache) = (inspection.weight_bytes(dtype.size()), inspection.kv_bytes(dtype.size()));
        Self { weights, kv_cache, total: weights + kv_cache }
    }
}

/// Runs the command.
///
/// # Errors
/// As [`longvu::inspect`].
pub fn run(args: &InspectArgs) -> Result<()> {
    let model = model::named(&args.place, args.output.quiet)?;
    let progress = Progress::new(args.output.quiet, "reading the model's headers");
    let options = model::repo_options(&args.place, &progress);
    let inspection = longvu::inspect(&model, args.place.towers.as_deref(), &options)?;
    drop((options, progress));
    if args.output.json {
        let memory = Dtype::ALL.map(|dtype| (dtype.to_string(), Memory::of(&inspection, dtype)));
        return output::json(&Printed { inspection: &inspection, memory: memory.into() }, true);
    }
    output::text(&table(&inspection))
}

fn table(inspection: &Inspection) -> String {
    let mut text = format!("{}\n\n", inspection.model_type);
    text += &format!("{:18}{:>7}{:>8}{:>12}  {:14}from\n", "part", "layers", "width", "parameters", "stored as");
    for part in &inspection.parts {
        let PartSize { name, origin, layers, hidden_size, .. } = part;
        let (parameters, stored) = (count(part.parameters), stored(part));
        text += &format!("{name:18}{layers:>7}{hidden_size:>8}{parameters:>12}  {stored:14}{origin}\n");
    }
    for part in &inspection.parts {
        if let Some(problem) = &part.problem {
            text += &format!("  {}: {problem}\n", part.name);
        }
    }
    let all: usize = inspection.parts.iter().map(|part| part.parameters).sum();
    text += &format!("{:33}{:>12}\n\n", "all", count(all));
    text += &format!("{:18}{:>12}{:>14}{:>14}\n", "memory", "weights", "kv cache", "together");
    for dtype in Dtype::ALL {
        let Memory { weights, kv_cache, total } = Memory::of(inspection, dtype);
        let [weights, kv_cache, total] = [weights, kv_cache, total].map(|n| HumanBytes(n as u64).to_string());
        text += &format!("as {:15}{weights:>12}{kv_cache:>14}{total:>14}\n", dtype.to_string());
    }
    let (temporal, spatial) = inspection.thresholds;
    text += &format!(
        "\nwindow {} tokens; a frame takes {} at full and {} at low resolution\nthresholds: temporal {temporal}, spatial \
         {spatial}\n",
        inspection.max_len, inspection.image_token_len, inspection.low_token_len
    );
    text
}

fn stored(part: &PartSize) -> String {
    let names: Vec<&str> = part.stored.keys().map(String::as_str).collect();
    if names.is_empty() { "(none read)".into() } else { names.join("+") }
}

/// 7615616512 as 7.62 B.
fn count(n: usize) -> String {
    let n = n as f64;
    match n {
        n if n >= 1e9 => format!("{:.2} B", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n => format!("{n}"),
    }
}
