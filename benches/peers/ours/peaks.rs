//! The most arithmetic that each instruction does on registers: what no product can exceed, whatever it reads.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

#[cfg(target_arch = "x86_64")]
#[path = "peaks/x86_64.rs"]
mod arch;

/// Processors whose instructions are not known here have no peaks.
#[cfg(not(target_arch = "x86_64"))]
mod arch {
    pub fn instructions() -> Vec<super::Instruction> {
        Vec::new()
    }
}

/// A loop of one instruction, or of the few that take one's place.
pub struct Instruction {
    name: &'static str,
    /// What `LONGVU_KERNELS` calls the level that has it.
    level: &'static str,
    /// What it multiplies: `f32`, `bf16` or `int8`.
    format: &'static str,
    /// Multiplications and additions of a pass of the loop.
    operations: usize,
    /// Runs the loop so many times, on a thread of its own.
    run: fn(usize),
}

/// How long a try lasts: short enough that some are not interrupted. They follow each other, so that the processor's
/// frequency becomes that of long work.
const TRY: Duration = Duration::from_millis(10);
const TRIES: usize = 50;

/// The rates of every instruction this machine has, in operations a second.
pub fn measure(threads: usize) -> Value {
    arch::instructions().iter().map(|instruction| instruction.measure(threads)).collect()
}

impl Instruction {
    fn measure(&self, threads: usize) -> Value {
        let mut passes = 1 << 16;
        let passes = loop {
            let seconds = self.seconds(1, passes);
            if seconds * 4.0 > TRY.as_secs_f64() {
                break (passes as f64 * TRY.as_secs_f64() / seconds) as usize;
            }
            passes *= 2;
        };
        let best = |threads: usize| {
            let seconds = (0..TRIES).map(|_| self.seconds(threads, passes)).fold(f64::INFINITY, f64::min);
            (threads * passes * self.operations) as f64 / seconds
        };
        json!({
            "instruction": self.name, "level": self.level, "format": self.format,
            "one_thread": best(1), "all_threads": best(threads),
        })
    }

    /// From the start of all threads to the end of the last.
    fn seconds(&self, threads: usize, passes: usize) -> f64 {
        let barrier = Barrier::new(threads);
        let work = || {
            barrier.wait();
            let start = Instant::now();
            (self.run)(passes);
            (start, Instant::now())
        };
        let spans: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join().expect("a loop does not panic")).collect()
        });
        let start = spans.iter().map(|span| span.0).min();
        let end = spans.iter().map(|span| span.1).max();
        start.zip(end).map_or(f64::INFINITY, |(start, end)| (end - start).as_secs_f64())
    }
}
