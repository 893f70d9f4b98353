//! How much memory this machine has left, and how much this process has taken.

use std::path::{Path, PathBuf};

/// Bytes that this process can still take without pushing others, or itself, out of memory.
///
/// On Linux the smaller of what the system calls available and what each control group around this process leaves; `None`
/// on other systems, which are asked in ways of their own.
pub fn available_memory() -> Option<u64> {
    available_below(Path::new("/"))
}

/// Most bytes that this process has had in memory so far, where the system says (Linux).
pub fn peak_memory() -> Option<u64> {
    Some(field(&read(Path::new("/proc/self/status"))?, "VmHWM:")? << 10)
}

/// [`available_memory`] as the files below `root` have it.
fn available_below(root: &Path) -> Option<u64> {
    let system = field(&read(&root.join("proc/meminfo"))?, "MemAvailable:")? << 10;
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| group_room(root, line));
    Some(limits.fold(system, u64::min))
}

/// What the control group of a line of `/proc/self/cgroup`, and those around it, leave.
fn group_room(root: &Path, line: &str) -> Option<u64> {
    let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { return None };
    let (base, limit, usage, reclaimable) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max", "memory.current", ["inactive_file ", "active_file "]),
        list if list.split(',').any(|name| name == "memory") => (
            "sys/fs/cgroup/memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            ["total_inactive_file ", "total_active_file "],
        ),
        _ => return None,
    };
    let base = root.join(base);
    // Inside a container the path may be the host's, of which only the container's own group can be seen, at the base.
    let own = base.join(path.trim_start_matches('/'));
    let groups = own.ancestors().take_while(|group| group.starts_with(&base)).map(PathBuf::from);
    let room = |group: PathBuf| -> Option<u64> {
        let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(limit)?, number(usage)?);
        let stat = read(&group.join("memory.stat")).unwrap_or_default();
        // Pages of files count as used and go when they are in the way.
        let files: u64 = reclaimable.iter().filter_map(|name| field(&stat, name)).sum();
        Some(limit.saturating_sub(usage.saturating_sub(files)))
    };
    groups.filter_map(room).min()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n";
        for (name, text) in [&[("proc/meminfo", meminfo)], files].concat() {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn without_limits_it_is_what_the_system_has() {
        assert_eq!(available_below(machine(&[]).path()), Some(8 * GIB));
        let free = machine(&[("proc/self/cgroup", "0::/user\n"), ("sys/fs/cgroup/user/memory.max", "max\n")]);
        assert_eq!(available_below(free.path()), Some(8 * GIB));
        assert_eq!(available_below(tempfile::tempdir().unwrap().path()), None);
    }

    #[test]
    fn the_tightest_group_around_the_process_counts() {
        let root = machine(&[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("sys/fs/cgroup/outer/memory.max", "3221225472\n"),
            ("sys/fs/cgroup/outer/memory.current", "2147483648\n"),
            ("sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 1073741824\nactive_file 0\n"),
            ("sys/fs/cgroup/outer/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/outer/inner/memory.current", "5\n"),
        ]);
        assert_eq!(available_below(root.path()), Some(2 * GIB));
    }

    #[test]
    fn older_groups_and_containers_are_understood() {
        let root = machine(&[
            ("proc/self/cgroup", "5:cpu:/x\n4:memory:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 268435456\ntotal_active_file 268435456\n"),
        ]);
        assert_eq!(available_below(root.path()), Some(GIB));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some() {
        assert!(available_memory().unwrap() > 1 << 20);
        assert!(peak_memory().unwrap() > 1 << 20);
    }
}
