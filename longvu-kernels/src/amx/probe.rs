//! Tries the instructions in a process of its own, because some virtual machines list AMX and do not have it.
//!
//! That process is a copy of one thread of this one, and others may have held locks when it was made, the allocator's
//! among them. So it multiplies, compares and calls the system, and nothing else: its operands are made before.

use super::detect::{Absence, errno};
use super::{Amx, BLOCK_OUTPUTS, Bf16, Dot, Int8, Lhs, MAX_OUTPUTS, MAX_ROWS, Out, Tiles};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Exit codes of the process.
const RIGHT: i32 = 0;
const WRONG: i32 = 1;

/// What bad instructions raise.
const FAULTS: [i32; 4] = [libc::SIGILL, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE];

/// Multiplies with `untried` in another process, after `prepare` there, which has to be fit for a handler of signals.
pub(super) fn run(untried: Amx, prepare: fn()) -> Result<(), Absence> {
    let to_bf16 = |x: i32| ((x as f32).to_bits() >> 16) as u16;
    let mut bf16 = Trial::<Bf16>::new(to_bf16, to_bf16, |x| x as f32);
    let mut int8 = Trial::<Int8>::new(|x| x as u8, |x| x as i8, |x| x);
    let status = in_copy(|| {
        confine();
        prepare();
        if bf16.succeeds(untried) && int8.succeeds(untried) { RIGHT } else { WRONG }
    })?;
    if libc::WIFSIGNALED(status) {
        return Err(Absence::Died(libc::WTERMSIG(status)));
    }
    if libc::WEXITSTATUS(status) == RIGHT { Ok(()) } else { Err(Absence::Wrong) }
}

/// Calls `work` in a copy of this process, which exits with what that returns. Returns the status that `wait` has of it.
fn in_copy(work: impl FnOnce() -> i32) -> Result<i32, Absence> {
    let mut others = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the sets are initialised before they are read. Without flags, `clone` is a `fork` whose end raises no signal:
    // no handler of SIGCHLD is called, and no other thread's `wait` takes the status. The copy never returns from here, and
    // calls no handler of this program, since all signals are blocked but those that its own instructions raise.
    unsafe {
        libc::sigfillset(others.as_mut_ptr());
        for fault in FAULTS {
            libc::sigdelset(others.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, others.as_ptr(), before.as_mut_ptr());
        const NONE: libc::c_long = 0;
        let process = libc::syscall(libc::SYS_clone, NONE, NONE, NONE, NONE, NONE);
        if process == 0 {
            libc::_exit(catch_unwind(AssertUnwindSafe(work)).unwrap_or(WRONG));
        }
        let cloned = if process > 0 { Ok(process as libc::pid_t) } else { Err(Absence::Untried(errno())) };
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        let process = cloned?;
        let mut status = 0;
        while libc::waitpid(process, &mut status, libc::__WALL) < 0 {
            if errno() != libc::EINTR {
                return Err(Absence::Untried(errno()));
            }
        }
        Ok(status)
    }
}

/// Lets bad instructions end this process, without a dump, and endless ones too.
fn confine() {
    let second = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
    // SAFETY: none of the calls keeps a pointer. A limit on the size of dumps would not do, since it is not for those that
    // go to a program.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::setrlimit(libc::RLIMIT_CPU, &second);
        for fault in FAULTS {
            libc::signal(fault, libc::SIG_DFL);
        }
    }
}

/// A product of whole numbers, which every type holds exactly.
struct Trial<D: Dot> {
    a: Vec<D::A>,
    b: [Vec<D::B>; 2],
    c: Vec<D::C>,
    expected: Vec<D::C>,
}

impl<D: Dot> Trial<D>
where
    D::C: PartialEq,
{
    fn new(a: fn(i32) -> D::A, b: fn(i32) -> D::B, c: fn(i32) -> D::C) -> Self {
        const SUM: i32 = 1000;
        // Two steps.
        let inputs = 2 * D::DEPTH as i32;
        let (rows, outputs, half) = (MAX_ROWS as i32, MAX_OUTPUTS as i32, BLOCK_OUTPUTS as i32);
        let activation = |row: i32, input: i32| (31 * row + 17 * input) % 256;
        let weight = |output: i32, input: i32| (29 * output + 13 * input) % 256 - 128;
        let group = 4 / size_of::<D::B>() as i32;
        let block = |first: i32| {
            let at = |i: i32| weight(first + i / group % half, i / (group * half) * group + i % group);
            (0..inputs * half).map(|i| b(at(i))).collect()
        };
        let sum = |row, output| (0..inputs).map(|i| activation(row, i) * weight(output, i)).sum::<i32>();
        Self {
            a: (0..rows * inputs).map(|i| a(activation(i / inputs, i % inputs))).collect(),
            b: [block(0), block(half)],
            c: vec![c(SUM); MAX_ROWS * MAX_OUTPUTS],
            expected: (0..rows * outputs).map(|i| c(SUM + sum(i / outputs, i % outputs))).collect(),
        }
    }

    fn succeeds(&mut self, amx: Amx) -> bool {
        let a = Lhs::by_row(&self.a, self.a.len() / MAX_ROWS);
        let out = Out::new(&mut self.c, MAX_OUTPUTS, MAX_ROWS, MAX_OUTPUTS);
        Tiles::new(amx).multiply::<D>(a, &[&self.b[0], &self.b[1]], out, true);
        self.c == self.expected
    }
}
