//! `longvu doctor`: whether a device computes what it should.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;
use longvu::{Device, Dtype, parse_device};

use crate::{
    doctor::{self, Examination, Machine, Rate, Report, Size},
    flags::OutputArgs,
    output::{self, Progress},
};

/// Compare a device with the CPU: every operation, every part of the model and the three stages, and time it.
///
/// The first thing to run on a new GPU. It takes a minute or two, downloads nothing, and ends with 1 when something is wrong;
/// the JSON is made to be pasted into a bug report.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What to examine: cpu, cuda:0, vulkan:0, … as `longvu devices` lists them [default: cpu]
    #[arg(short, long)]
    pub device: Option<String>,

    /// Number types, separated by commas [default: all that the device has]
    #[arg(long, value_name = "T,T,…", value_delimiter = ',')]
    pub dtypes: Vec<Dtype>,

    /// Also compare whole towers, and four layers and the vocabulary of a 7B language model: minutes, 12 GB on the device and
    /// as much of the machine's memory
    #[arg(long, conflicts_with = "small")]
    pub full: bool,

    /// Leave out the sizes of the published models, and rates
    #[arg(long)]
    pub small: bool,

    /// Questions to the built-in model
    #[cfg(all(feature = "miniature", feature = "train"))]
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub questions: u64,

    /// Make the result of one check on the device a hundredth greater, to see that it is found
    #[arg(long, value_name = "CHECK", hide = true)]
    pub fault: Option<String>,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// A device or check that there is none of, nothing to compare it with, anything wrong with it, and a stdout that cannot be
/// written to.
pub fn run(args: &DoctorArgs) -> Result<()> {
    let start = Instant::now();
    let name = args.device.clone().unwrap_or_else(|| "cpu".into());
    let device = parse_device(&name)?;
    let examination = Examination {
        device: &device,
        dtypes: dtypes(&args.dtypes, &device)?,
        short_products: name.starts_with("cuda"),
        sizes: sizes(args),
        fault: args.fault.as_deref(),
    };
    examination.check_fault()?;
    let progress = Progress::new(args.output.quiet || args.output.json, "examining");
    let mut faults = Vec::new();
    // First, for memory is told of what was taken so far.
    #[cfg(all(feature = "miniature", feature = "train"))]
    let questions = {
        progress.say("asking the built-in model".into());
        let questions = doctor::Questions::ask(&device, args.questions, &mut faults)?;
        faults.extend(questions.as_ref().and_then(doctor::Questions::fault));
        questions
    };
    let findings = examination.run(|name| progress.say(format!("examining {name}")))?;
    faults.extend(findings.iter().filter_map(doctor::fault));
    let rates = if args.small { Vec::new() } else { rates(&examination, &progress, &mut faults) };
    drop(progress);
    let report = Report {
        machine: Machine::of(&device),
        device: name,
        faults,
        findings,
        rates,
        #[cfg(all(feature = "miniature", feature = "train"))]
        questions,
        seconds: start.elapsed().as_secs_f64(),
    };
    if args.output.json {
        output::json(&report, true)?
    } else {
        doctor::print(&report)?
    }
    match report.faults.len() {
        0 => Ok(()),
        count => bail!("{count} of the checks of {} found something wrong", report.device),
    }
}

fn rates(examination: &Examination<'_>, progress: &Progress, faults: &mut Vec<String>) -> Vec<Rate> {
    let mut rates = Vec::new();
    for &dtype in &examination.dtypes {
        progress.say(format!("timing {dtype}"));
        match doctor::attempt(|| doctor::measure(examination.device, dtype)) {
            Ok(measured) => rates.extend(measured),
            Err(failure) => faults.push(format!("rates, {dtype}: {failure}")),
        }
    }
    rates
}

/// The number types to examine.
fn dtypes(wanted: &[Dtype], device: &Device) -> Result<Vec<Dtype>> {
    if wanted.is_empty() {
        let all: Vec<_> = Dtype::ALL.into_iter().filter(|dtype| dtype.check_supported(device).is_ok()).collect();
        ensure!(!all.is_empty(), "the device computes in none of f32, f16 and bf16");
        return Ok(all);
    }
    wanted.iter().try_for_each(|dtype| dtype.check_supported(device))?;
    Ok(wanted.to_vec())
}

fn sizes(args: &DoctorArgs) -> Vec<Size> {
    let published = (!args.small).then_some(Size::Published);
    [Size::Small].into_iter().chain(published).chain(args.full.then_some(Size::Full)).collect()
}
