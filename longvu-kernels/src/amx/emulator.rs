//! AMX for tests on machines without it: a handler of the signal that unknown instructions raise carries them out.
//!
//! The handler serves a whole process, so tests that need it run in one of their own.

mod decode;
mod machine;

use super::Amx;
use decode::decode;
pub(crate) use machine::Counts;
use machine::Machine;
use std::cell::RefCell;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Each thread has tiles of its own.
    static TILES: RefCell<Machine> = const { RefCell::new(Machine::new()) };
}

/// Whether products come out wrong.
static WRONG: AtomicBool = AtomicBool::new(false);

/// The numbers of the registers in instructions, as the places that they have in a context.
const REGISTERS: [i32; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Calls `body` with AMX: the processor's, or where it has none, the emulator's in a process that runs the one test `name`,
/// which is this one's path in the crate.
pub(crate) fn with_amx(name: &str, body: impl FnOnce(Amx)) {
    const INSIDE: &str = "LONGVU_TEST_AMX_EMULATOR";
    if let Some(amx) = Amx::detect() {
        return body(amx);
    }
    if std::env::var_os(INSIDE).is_some() {
        install();
        // SAFETY: the emulator is installed.
        return body(unsafe { Amx::assume() });
    }
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program).args([name, "--exact", "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let (output, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && output.contains(" 1 passed"), "{}\n{output}\n{errors}", run.status);
}

/// Has the tile instructions of this process emulated from now on. Fit for a handler of signals.
pub(crate) fn install() {
    // SAFETY: an `extern "C"` function of the type that SA_SIGINFO asks for; its other fields may be zero.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut());
    }
}

/// [`install`] of one that multiplies wrongly.
pub(crate) fn install_wrong() {
    WRONG.store(true, Ordering::Relaxed);
    install();
}

/// What this thread has had emulated.
pub(crate) fn counts() -> Counts {
    TILES.with_borrow(|tiles| tiles.counts)
}

/// Carries out the instruction that raised the signal, or says why not and lets it raise the signal for good.
extern "C" fn handle(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the context, which is this handler's to change. What lies at RIP is code, of which the
    // longest instruction has 15 bytes; near the end of a mapping shorter ones do not occur in these tests.
    let (context, code) = unsafe {
        let context = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let code = *(context[libc::REG_RIP as usize] as *const [u8; 15]);
        (context, code)
    };
    let registers = REGISTERS.map(|place| context[place as usize] as usize);
    let rip = context[libc::REG_RIP as usize] as usize;
    let wrong = WRONG.load(Ordering::Relaxed);
    let done = decode(&code, rip, &registers).and_then(|(instruction, length)| {
        // SAFETY: addresses are what the instruction would use.
        TILES.with_borrow_mut(|tiles| unsafe { tiles.execute(instruction, wrong) })?;
        Ok(length)
    });
    match done {
        Ok(length) => context[libc::REG_RIP as usize] += length as i64,
        Err(fault) => {
            let text = fault.text();
            // SAFETY: the text lives; the handler's removal has the instruction end the process.
            unsafe {
                libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}
