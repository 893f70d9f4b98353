//! Whether AMX works here: what the processor says, what the kernel permits, and what comes of trying it.

use super::probe;
use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::fmt;
use std::io::Error;
use std::sync::OnceLock;

/// Proof that the tile instructions of bf16 and int8 work in this process, on each of its threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amx(());

/// Why there is no AMX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// CPUID lacks `amx-tile`, `amx-bf16` or `amx-int8`.
    Cpu,
    /// XCR0 lacks the state of tiles: a system too old for it, or told to leave it out.
    State,
    /// The kernel did not permit it; an `errno`.
    Refused(i32),
    /// There was no process to try the instructions in; an `errno`.
    Untried(i32),
    /// The instructions ended the process that tried them; a signal.
    Died(i32),
    /// The products were wrong.
    Wrong,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("the processor has no AMX for bf16 and int8"),
            Self::State => f.write_str("the operating system does not enable the registers"),
            Self::Refused(errno) => write!(f, "the kernel refuses the registers: {}", Error::from_raw_os_error(*errno)),
            Self::Untried(errno) => write!(f, "no process to try it in: {}", Error::from_raw_os_error(*errno)),
            Self::Died(signal) => {
                write!(
                    f,
                    "the processor lists it, but its instructions end in signal {signal}, as in some virtual machines"
                )
            }
            Self::Wrong => f.write_str("its products are wrong, as under some emulators"),
        }
    }
}

impl Amx {
    /// AMX, where it works. The first call takes as long as a `fork` of the process, which grows with its memory; later
    /// ones only look up what that found.
    pub(crate) fn detect() -> Option<Self> {
        Self::status().ok()
    }

    /// [`Amx::detect`], or why there is none.
    pub(crate) fn status() -> Result<Self, Absence> {
        static STATUS: OnceLock<Result<Amx, Absence>> = OnceLock::new();
        *STATUS.get_or_init(|| {
            listed()?;
            permission()?;
            probe::run(Self(()), || ())?;
            Ok(Self(()))
        })
    }

    /// # Safety
    /// The instructions have to work, or to be emulated.
    #[cfg(test)]
    pub(super) unsafe fn assume() -> Self {
        Self(())
    }
}

/// Whether the processor has the instructions, and the system saves their registers.
fn listed() -> Result<(), Absence> {
    const OSXSAVE: u32 = 1 << 27;
    // `amx-bf16`, `amx-tile` and `amx-int8`.
    const AMX: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    // The configuration of tiles, and what they hold.
    const TILES: u64 = 1 << 17 | 1 << 18;
    if __cpuid(0).eax < 7 || __cpuid_count(7, 0).edx & AMX != AMX {
        return Err(Absence::Cpu);
    }
    // SAFETY: with OSXSAVE the instruction XGETBV exists, and register 0 too.
    if __cpuid(1).ecx & OSXSAVE == 0 || unsafe { xcr0() } & TILES != TILES {
        return Err(Absence::State);
    }
    Ok(())
}

/// # Safety
/// The system has to have enabled XSAVE.
#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: as above.
    unsafe { _xgetbv(0) }
}

/// Asks the kernel for the state of tiles, which it does not give unasked: it makes the frames of signals 8 KB larger.
///
/// From Documentation/arch/x86/xstate.rst: permission belongs to the process, so that threads from before and after have
/// it alike, is inherited by `fork` and lost by `exec`. A thread gets its larger buffer when it first uses a tile. The
/// kernel refuses where any thread's alternate stack for signals is too small for the larger frame, and from then on
/// refuses such stacks; the standard library's are large enough.
pub(super) fn permission() -> Result<(), Absence> {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: this request takes a number, and touches no memory of the process.
    let code = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    if code == 0 { Ok(()) } else { Err(Absence::Refused(errno())) }
}

/// The `errno` of the call before.
pub(super) fn errno() -> i32 {
    Error::last_os_error().raw_os_error().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lists_is_found_and_what_it_does_not_is_said() {
        let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let listed = ["amx_tile", "amx_bf16", "amx_int8"].iter().all(|flag| listed.contains(flag));
        match Amx::status() {
            Ok(_) => assert!(listed),
            // The kernel hides what it does not enable.
            Err(Absence::Cpu | Absence::State) => assert!(!listed),
            Err(absence) => assert!(listed, "{absence}"),
        }
        assert_eq!(Amx::detect().is_some(), Amx::status().is_ok());
    }

    #[test]
    fn a_refusal_names_the_kernel_s_reason() {
        assert_eq!(
            Absence::Refused(libc::ENOSPC).to_string(),
            "the kernel refuses the registers: No space left on device (os error 28)"
        );
        assert!(Absence::Died(libc::SIGILL).to_string().contains("signal 4"));
    }
}
