//! `longvu devices`: what `--device` can name.

use anyhow::{Context, Result};
use clap::Args;
use longvu::{Dtype, available_devices, parse_device};
use serde::Serialize;

use crate::{flags::OutputArgs, output};

/// List the devices of this build on this machine.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct DeviceLine {
    name: String,
    dtypes: Vec<String>,
    /// What the CPU's kernels compute with.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<Kernels>,
}

#[derive(Serialize)]
struct Kernels {
    /// The instructions that are used; `off` where burn's own operations are.
    used: String,
    /// The best that the machine has.
    machine: String,
    /// Why that is not AMX, on processors of the kind that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_amx: Option<String>,
    /// What many rows are multiplied in, by what weights are held in.
    products: Products,
}

#[derive(Serialize)]
struct Products {
    f32: &'static str,
    f16: &'static str,
    bf16: String,
    int8: String,
    int4: String,
}

/// Runs the command.
///
/// # Errors
/// A build without a single device, and a stdout that cannot be written to.
pub fn run(args: &DevicesArgs) -> Result<()> {
    let lines: Vec<DeviceLine> = available_devices().into_iter().map(describe).collect();
    if args.output.json {
        return output::json(&lines, true);
    }
    lines.first().context("no device was found; build with `--features flex` for the CPU")?;
    for DeviceLine { name, dtypes, kernels } in &lines {
        output::line(&format!("{name:12} {}", dtypes.join(" ")))?;
        if let Some(Kernels { used, machine, without_amx, products: Products { bf16, int8, .. } }) = kernels {
            let without = without_amx.as_ref().map_or(String::new(), |why| format!("; no amx: {why}"));
            output::line(&format!("{:12} instructions: {used}, of {machine} (LONGVU_KERNELS){without}", ""))?;
            output::line(&format!("{:12} products: bf16 weights in {bf16}; int8, int4 in {int8}", ""))?;
        }
    }
    Ok(())
}

fn describe(name: String) -> DeviceLine {
    let device = parse_device(&name).ok();
    let supported = |dtype: &Dtype| device.as_ref().is_some_and(|device| dtype.check_supported(device).is_ok());
    let dtypes = Dtype::ALL.iter().filter(|dtype| supported(dtype)).map(ToString::to_string).collect();
    let kernels = (name == "cpu").then(kernels).flatten();
    DeviceLine { name, dtypes, kernels }
}

#[cfg(feature = "flex")]
fn kernels() -> Option<Kernels> {
    use longvu::ops::{Isa, cpu_kernels};

    let (on, isa) = (cpu_kernels(), Isa::used());
    let used = if on { isa.to_string() } else { "off".to_owned() };
    let name = |bits: &str, instruction: Option<&str>| match instruction.filter(|_| on) {
        Some(instruction) => format!("{bits} ({instruction})"),
        None => "f32".to_owned(),
    };
    let bf16 = name("bf16", isa.bf16_products());
    // With AMX quantised weights are widened to bf16.
    let int8 = if isa == Isa::Amx { bf16.clone() } else { name("int8", isa.int8_products()) };
    let products = Products { f32: "f32", f16: "f32", bf16, int4: int8.clone(), int8 };
    let without_amx = if cfg!(target_arch = "x86_64") { Isa::amx_absence() } else { None };
    Some(Kernels { used, machine: Isa::of_machine().to_string(), without_amx, products })
}

#[cfg(not(feature = "flex"))]
fn kernels() -> Option<Kernels> {
    None
}
