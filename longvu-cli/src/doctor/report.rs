//! What was found, as a table and as JSON.

use anyhow::Result;
use longvu::Device;
#[cfg(feature = "flex")]
use longvu::ops;
use serde::Serialize;

#[cfg(all(feature = "miniature", feature = "train"))]
use super::questions::Questions;
use super::{check::Kind, examination::Finding, rates::Rate};
use crate::output;

/// All that an examination found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub device: String,
    /// What is wrong; empty on a sound device.
    pub faults: Vec<String>,
    pub findings: Vec<Finding>,
    pub rates: Vec<Rate>,
    #[cfg(all(feature = "miniature", feature = "train"))]
    pub questions: Option<Questions>,
    pub seconds: f64,
}

/// Versions of everything.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub longvu: &'static str,
    pub burn: &'static str,
    /// Features that were built in.
    pub features: Vec<&'static str>,
    pub target: String,
    /// Whether it was built to be debugged, which makes rates worse.
    pub debug: bool,
    pub system: String,
    pub processor: String,
    /// The device's own name and what its kernels are compiled for, where it says.
    pub adapter: Option<String>,
    pub kernels: Option<String>,
}

/// burn's version, which this one is made for.
const BURN: &str = "0.22.1";

impl Machine {
    /// This build on this machine, and a device.
    pub fn of(device: &Device) -> Self {
        let features = [
            ("flex", cfg!(feature = "flex")),
            ("ndarray", cfg!(feature = "ndarray")),
            ("wgpu", cfg!(feature = "wgpu")),
            ("vulkan", cfg!(feature = "vulkan")),
            ("webgpu", cfg!(feature = "webgpu")),
            ("metal", cfg!(feature = "metal")),
            ("cuda", cfg!(feature = "cuda")),
            ("rocm", cfg!(feature = "rocm")),
            ("cubecl-cpu", cfg!(feature = "cubecl-cpu")),
        ];
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = line("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            longvu: env!("CARGO_PKG_VERSION"),
            burn: BURN,
            features: features.into_iter().filter(|feature| feature.1).map(|feature| feature.0).collect(),
            debug: cfg!(debug_assertions),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            system: format!("{} {}", std::env::consts::OS, line("/proc/sys/kernel/osrelease").trim()).trim().to_owned(),
            processor: format!("{threads} threads of {}", model.map_or(std::env::consts::ARCH, |(_, model)| model)),
            adapter: longvu::adapter_name(device),
            kernels: kernels(device),
        }
    }
}

#[cfg(feature = "flex")]
fn kernels(device: &Device) -> Option<String> {
    let used = || if ops::cpu_kernels() { ops::Isa::used().to_string() } else { "off".to_owned() };
    (*device == Device::flex()).then(used)
}

#[cfg(not(feature = "flex"))]
fn kernels(_: &Device) -> Option<String> {
    None
}

/// Prints a table.
///
/// # Errors
/// A stdout that cannot be written to.
pub fn print(report: &Report) -> Result<()> {
    let machine = &report.machine;
    output::line(&format!(
        "longvu {}, burn {}, {}; {}{}",
        machine.longvu,
        machine.burn,
        machine.features.join(" "),
        machine.target,
        if machine.debug { ", a debug build: rates are those of a slower program" } else { "" }
    ))?;
    output::line(&format!("{}; {}", machine.system, machine.processor))?;
    let adapter = machine.adapter.as_ref().map_or(String::new(), |name| format!(": {name}"));
    let kernels = machine.kernels.as_ref().map_or(String::new(), |used| format!(", instructions: {used}"));
    output::line(&format!("{}{adapter}{kernels}", report.device))?;
    output::line("")?;
    output::line(&format!(
        "{:<24} {:<10} {:<5} {:>9} {:>9} {:>8}",
        "check", "size", "dtype", "error", "accepted", "seconds"
    ))?;
    report.findings.iter().try_for_each(|finding| output::line(&row(finding)))?;
    output::line("")?;
    for Rate { name, dtype, rate, unit, of } in &report.rates {
        output::line(&format!("{name:<24} {dtype:<5} {rate:>10.4} {unit:<9} {of}"))?;
    }
    #[cfg(all(feature = "miniature", feature = "train"))]
    if let Some(questions) = &report.questions {
        output::line("")?;
        output::line(&answers(questions))?;
    }
    output::line("")?;
    match &report.faults[..] {
        [] => output::line(&format!("Nothing is wrong with {} ({:.0} s).", report.device, report.seconds)),
        faults => faults.iter().try_for_each(|fault| output::line(&format!("wrong: {fault}"))),
    }
}

fn row(finding: &Finding) -> String {
    let size = format!("{:?}", finding.size).to_lowercase();
    let decision = finding.kind == Kind::Decision;
    let error = match (&finding.failure, finding.error) {
        (None, Some(0.0)) if decision => "same".to_owned(),
        (None, Some(_)) if decision => "others".to_owned(),
        (None, Some(error)) => format!("{error:.1e}"),
        _ => "failed".to_owned(),
    };
    let accepted = if decision { "same".to_owned() } else { format!("{:.1e}", finding.accepted) };
    let mark = if finding.is_right() { "" } else { "  <- wrong" };
    let Finding { name, dtype, seconds, .. } = finding;
    format!("{name:<24} {size:<10} {dtype:<5} {error:>9} {accepted:>9} {seconds:>8.3}{mark}")
}

/// What a finding that is not right means, in a sentence.
pub fn fault(finding: &Finding) -> Option<String> {
    if finding.is_right() {
        return None;
    }
    let Finding { name, dtype, size, .. } = finding;
    let place = format!("{name}, {} size, {dtype}", format!("{size:?}").to_lowercase());
    Some(match (&finding.failure, finding.error) {
        (Some(failure), _) => format!("{place}: {failure}"),
        (None, Some(_)) if finding.kind == Kind::Decision => format!("{place}: it keeps others than the CPU does"),
        (None, error) => {
            format!("{place}: off by {:.1e}, {:.1e} is accepted", error.unwrap_or(f64::NAN), finding.accepted)
        }
    })
}

#[cfg(all(feature = "miniature", feature = "train"))]
fn answers(questions: &Questions) -> String {
    let Questions { asked, right, right_on_the_cpu, same, memory } = questions;
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let taken = memory.taken.map_or("not told".to_owned(), megabytes);
    format!(
        "The built-in model: {right} of {asked} answers are right ({right_on_the_cpu} on the CPU), {same} are the CPU's; \
         memory {taken}, forecast {}",
        megabytes(memory.forecast)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_the_one_that_is_built() {
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        assert!(lock.contains(&format!("name = \"burn\"\nversion = \"{BURN}\"")), "burn is not {BURN}");
    }
}
