//! What the machine can do at most, and how much memory the process takes.

use std::fs;

use rayon::prelude::*;

use crate::{Case, Result, Work};

/// The sum of a gibibyte by all threads, each reading its part from end to end.
pub fn memory_peak() -> Case {
    let data = vec![1u64; 1 << 27];
    let bytes = size_of_val(data.as_slice());
    Case::new(Work::Bytes(bytes), move || -> u64 {
        let part = data.len() / rayon::current_num_threads();
        data.par_chunks(part).map(sum).sum()
    })
}

fn sum(part: &[u64]) -> u64 {
    let add = |mut sums: [u64; 32], block: &[u64; 32]| {
        sums.iter_mut().zip(block).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
        sums
    };
    part.as_chunks().0.iter().fold([0; 32], add).iter().sum()
}

/// A figure of `/proc/self/status`, in bytes.
pub fn memory(key: &str) -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(key)).ok_or("not in /proc/self/status")?;
    let kib: usize = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib * 1024)
}

/// Forgets the peak so far, which was set by the loading of weights.
pub fn reset_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}
