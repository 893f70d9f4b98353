//! What a server takes, and what it had forecast.

use std::{fs, path::Path, time::Duration};

use tokio::{sync::watch::Receiver, time::timeout};

use crate::{Result, clients::Server};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// What the server takes at the start.
    pub start: u64,
    /// Most that it takes.
    pub peak: u64,
    /// Most that the processes take together in which it decodes.
    pub decoders: u64,
    /// Most that is spoken for by requests, and kept of encoded videos beyond what is kept at the start.
    pub forecast: u64,
}

impl Memory {
    /// Looks until told to stop.
    pub async fn watched(server: Server, pid: Option<u32>, mut stopped: Receiver<bool>) -> Result<Self> {
        let (mut memory, mut kept_before) = (Self::default(), None);
        loop {
            let numbers = server.numbers().await?;
            let [reserved, kept] =
                ["longvu_memory_reserved_bytes", "longvu_cache_bytes"].map(|name| number(&numbers, name));
            // What is kept at the start is in what the server takes then.
            let more = kept.saturating_sub(*kept_before.get_or_insert(kept));
            memory.forecast = memory.forecast.max(reserved + more);
            if let Some(pid) = pid {
                let now = resident(pid).ok_or("the server has ended")?;
                if memory.start == 0 {
                    memory.start = now;
                }
                memory.peak = memory.peak.max(now);
                memory.decoders = memory.decoders.max(children(pid).into_iter().filter_map(resident).sum());
            }
            if timeout(PAUSE, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return Ok(memory);
            }
        }
    }
}

fn number(numbers: &str, name: &str) -> u64 {
    let value = numbers.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_default()
}

/// Bytes of a process that are in memory.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// The processes that a process has started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |task: &Path| fs::read_to_string(task.join("children")).unwrap_or_default();
    tasks
        .flat_map(|task| of(&task.path()).split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}
