//! What a decoding process forbids itself before it looks at a file.
//!
//! Limits of the operating system on memory, processor time and files; Landlock, so that one file can be read and nothing can
//! be written or connected to; a seccomp filter that leaves the calls that decoding needs. Each as far as the kernel has it.

use std::path::Path;

/// What a process is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of address space beside what is mapped already.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu_seconds: u64,
}

/// Locks this process in for good, with `file` the only one that it can open. For a process with one thread.
///
/// Returns what could not be done, in words.
#[cfg(target_os = "linux")]
pub(super) fn enter(file: &Path, bounds: Bounds) -> Vec<String> {
    let steps = [
        ("Landlock", linux::landlock(file)),
        ("limits of the operating system", linux::limits(bounds)),
        ("seccomp", seccomp()),
    ];
    steps.into_iter().filter_map(|(name, done)| done.err().map(|reason| format!("{name} ({reason})"))).collect()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::seccomp::apply as seccomp;

/// The list of calls is of processors with 64 bits.
#[cfg(all(target_os = "linux", not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn seccomp() -> Result<(), String> {
    Err("not on this processor".to_owned())
}

/// Other systems have nothing of this: their processes are ended by the parent's clock alone.
#[cfg(not(target_os = "linux"))]
pub(super) fn enter(_: &Path, _: Bounds) -> Vec<String> {
    vec!["limits of the operating system, Landlock and seccomp (only on Linux)".to_owned()]
}

/// Has this process killed when its parent ends. False if the parent has ended meanwhile.
#[cfg(target_os = "linux")]
pub(super) fn die_with_parent() -> bool {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let parent = getppid();
    // Where this fails, the closed pipe ends the process at its next message.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    getppid() == parent
}

/// Elsewhere the closed pipe ends the process at its next message.
#[cfg(not(target_os = "linux"))]
pub(super) fn die_with_parent() -> bool {
    true
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;

    use ::landlock::{
        ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
        Scope,
    };
    use longvu::text;
    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::Bounds;

    /// The newest rules that are asked for; an older kernel holds to those that it knows.
    const RULES: ABI = ABI::V6;

    /// Open files, at most: the pipes, and a video that is opened again while it is open.
    const OPEN_FILES: u64 = 32;

    pub fn landlock(file: &Path) -> Result<(), String> {
        match restrict(file) {
            Ok(RulesetStatus::FullyEnforced) => Ok(()),
            Ok(RulesetStatus::PartiallyEnforced) => Err("this kernel knows a part of it".to_owned()),
            Ok(RulesetStatus::NotEnforced) => Err("this kernel does not have it, or it is switched off".to_owned()),
            Err(error) => Err(text::chain(&*error)),
        }
    }

    fn restrict(file: &Path) -> Result<RulesetStatus, Box<dyn std::error::Error>> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(RULES))?
            .handle_access(AccessNet::from_all(RULES))?
            .scope(Scope::from_all(RULES))?
            .create()?;
        // A file that is not there gets its error from whoever opens it.
        let rules = match PathFd::new(file) {
            Ok(file) => rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?,
            Err(_) => rules,
        };
        Ok(rules.restrict_self()?.ruleset)
    }

    pub fn limits(bounds: Bounds) -> Result<(), String> {
        let memory = mapped().saturating_add(bounds.memory);
        let both = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
        let cpu = Rlimit { current: Some(bounds.cpu_seconds), maximum: Some(bounds.cpu_seconds.saturating_add(1)) };
        for (resource, name, limit) in [
            (Resource::As, "memory", both(memory)),
            (Resource::Cpu, "processor time", cpu),
            (Resource::Fsize, "file size", both(0)),
            (Resource::Core, "core dumps", both(0)),
            (Resource::Nofile, "open files", both(OPEN_FILES)),
        ] {
            setrlimit(resource, limit).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    }

    /// Bytes of address space that this process has: its program and libraries. 0 if unknown.
    fn mapped() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kilobytes.unwrap_or(0).saturating_mul(1024)
    }
}
