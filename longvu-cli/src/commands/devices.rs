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
    for DeviceLine { name, dtypes } in &lines {
        output::line(&format!("{name:12} {}", dtypes.join(" ")))?;
    }
    Ok(())
}

fn describe(name: String) -> DeviceLine {
    let device = parse_device(&name).ok();
    let supported = |dtype: &Dtype| device.as_ref().is_some_and(|device| dtype.check_supported(device).is_ok());
    let dtypes = Dtype::ALL.iter().filter(|dtype| supported(dtype)).map(ToString::to_string).collect();
    DeviceLine { name, dtypes }
}
