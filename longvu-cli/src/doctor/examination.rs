//! Running checks, and what they find.

use std::time::Instant;

use anyhow::{Result, bail};
use longvu::{Device, Dtype, Quantize};
use serde::Serialize;

use super::{
    check::{Check, Kind, Size},
    operations, parts,
    place::Place,
    stages,
};
use crate::crash;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub kind: Kind,
    pub size: Size,
    pub dtype: String,
    /// Norm of the difference over norm of the CPU's values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    pub accepted: f64,
    /// Seconds on the device, operands made and kernels compiled among them.
    pub seconds: f64,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Finding {
    pub fn is_right(&self) -> bool {
        self.error.is_some_and(|error| error <= self.accepted)
    }
}

/// What is examined.
#[derive(Debug, Clone)]
pub struct Examination<'a> {
    pub device: &'a Device,
    pub dtypes: Vec<Dtype>,
    /// Whether products of f32 may be of the 19 bits of TF32, as NVIDIA's tensor cores compute them.
    pub short_products: bool,
    pub sizes: Vec<Size>,
    /// The check whose result on the device is made a hundredth greater, to see that it is found.
    pub fault: Option<&'a str>,
}

impl Examination<'_> {
    /// Checks that there is a check to be falsified.
    ///
    /// # Errors
    /// One that names all checks.
    pub fn check_fault(&self) -> Result<()> {
        let names: Vec<&str> = all().map(|check| check.name).collect();
        match self.fault {
            Some(fault) if !names.contains(&fault) => {
                bail!("no check is called `{fault}`; there are {}", names.join(", "))
            }
            _ => Ok(()),
        }
    }

    /// Runs every check at every size in every dtype; `tell` hears of each before it runs.
    ///
    /// # Errors
    /// Where there is nothing to compare with.
    pub fn run(&self, mut tell: impl FnMut(&str)) -> Result<Vec<Finding>> {
        let reference = Place::reference_of(self.device)?;
        let mut findings = Vec::new();
        for &size in &self.sizes {
            let quantizes = Quantize::Int8.check_supported(self.device).is_ok();
            for check in all().filter(|check| !check.quantized || quantizes) {
                if size == Size::Full && !parts::WHOLE.contains(&check.name) {
                    continue;
                }
                tell(check.name);
                let expected = run(check, &reference, size);
                findings.extend(self.dtypes.iter().map(|&dtype| self.compare(check, size, dtype, &expected)));
            }
        }
        Ok(findings)
    }

    fn compare(&self, check: &Check, size: Size, dtype: Dtype, expected: &Result<Vec<f32>, String>) -> Finding {
        let start = Instant::now();
        let mut found = run(check, &Place::new(self.device, dtype), size);
        let seconds = start.elapsed().as_secs_f64();
        if let (Ok(values), true) = (&mut found, self.fault == Some(check.name)) {
            values.iter_mut().for_each(|value| *value *= 1.01);
        }
        let error = match (&found, expected) {
            (Ok(found), Ok(expected)) => relative_error(found, expected),
            (Err(failure), _) => Err(failure.clone()),
            (_, Err(failure)) => Err(format!("on the CPU: {failure}")),
        };
        Finding {
            name: check.name,
            kind: check.kind,
            size,
            dtype: dtype.to_string(),
            accepted: check.kind.tolerance(dtype, self.short_products),
            seconds,
            failure: error.as_ref().err().cloned(),
            error: error.ok(),
        }
    }
}

fn all() -> impl Iterator<Item = &'static Check> {
    operations::CHECKS.iter().chain(parts::CHECKS).chain(stages::CHECKS)
}

fn run(check: &Check, place: &Place, size: Size) -> Result<Vec<f32>, String> {
    attempt(|| place.within(|| (check.run)(place, size)))
}

/// What `work` gives; a driver that panics is a failure like another.
///
/// # Errors
/// The work's own and its panic, in words.
pub fn attempt<T>(work: impl FnOnce() -> Result<T>) -> Result<T, String> {
    crash::caught(work)?.map_err(|error| format!("{error:#}"))
}

/// Norm of the difference over norm of the expected values.
fn relative_error(found: &[f32], expected: &[f32]) -> Result<f64, String> {
    if found.len() != expected.len() {
        return Err(format!("{} values where the CPU has {}", found.len(), expected.len()));
    }
    let square = |x: f32| f64::from(x).powi(2);
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = expected.iter().map(|&x| square(x)).sum();
    match difference {
        0.0 => Ok(0.0),
        difference if difference.is_finite() && norm > 0.0 => Ok((difference / norm).sqrt()),
        _ if norm == 0.0 => Err("values where the CPU has zeros".into()),
        _ => Err("values that are no numbers".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_norm() {
        assert_eq!(relative_error(&[], &[]), Ok(0.0));
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 4.0]), Ok(0.0));
        let error = relative_error(&[3.03, 4.04], &[3.0, 4.0]).unwrap();
        assert!((error - 0.01).abs() < 1e-6, "{error}");
        assert!(relative_error(&[f32::NAN], &[1.0]).is_err());
        assert!(relative_error(&[1.0], &[0.0]).is_err());
        assert!(relative_error(&[1.0], &[1.0, 2.0]).is_err());
    }
}
