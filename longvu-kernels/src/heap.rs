//! How the process takes memory from the system.

/// Sets up glibc's allocator for models on the CPU; elsewhere, and where it is refused, all stays as it was. For the start of
/// a program, before it has threads.
///
/// - Memory that was freed stays with the process, up to 256 MiB, for what comes next. By default the outputs of a layer
///   come from the system as pages of zeros and go back to it, layer after layer: a sixth of the time of DINOv2 in `f32` (`--example peers -- dinov2` of the benches, with and without).
/// - All threads allocate from one heap. By default each thread that decodes, resizes or computes has a heap of its own, and
///   none of them uses again what another has freed: 14 MB more for an hour of 1080p than for ten minutes.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: a setting of the allocator, which takes its own lock.
        let set = |parameter, value| unsafe { libc::mallopt(parameter, value) == 1 };
        const KEPT: libc::c_int = 256 << 20;
        // Before version 2.35, glibc takes no more than 32 MiB.
        const KEPT_BY_OLDER: libc::c_int = 32 << 20;
        set(libc::M_ARENA_MAX, 1);
        if set(libc::M_MMAP_THRESHOLD, KEPT) || set(libc::M_MMAP_THRESHOLD, KEPT_BY_OLDER) {
            set(libc::M_TRIM_THRESHOLD, KEPT);
        }
    }
}
