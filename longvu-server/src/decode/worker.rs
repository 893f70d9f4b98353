//! The decoding process: this program, run again with a word that only [`init`] knows.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, BufWriter},
    path::PathBuf,
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    sandbox::{self, Bounds},
    source,
    wire::{self, Job, Message},
};

/// The last argument of a decoding process; a list of processes shows it.
pub(super) const ARGUMENT: &str = "--longvu-decoding-process";

/// The variable that a decoding process has, with the version of this crate in it.
pub(super) const VARIABLE: &str = "LONGVU_DECODING_PROCESS";

/// The version that both sides must have.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The exit code of a process that is run by another version.
pub(super) const OTHER_VERSION: i32 = 86;

/// The exit code of a process that got no job, or could not report on it.
const NO_JOB: i32 = 87;

static CALLED: AtomicBool = AtomicBool::new(false);

/// Whether this program's `main` calls [`init`].
pub(super) fn is_initialised() -> bool {
    CALLED.load(Ordering::Relaxed)
}

/// Lets this program decode videos in processes of its own. To be called first in `main`, before threads are started, files
/// opened or arguments read.
///
/// Decoding runs this program again with an environment variable and an argument that say so; in such a process `init`
/// decodes, and does not return. In any other it returns at once.
pub fn init() {
    CALLED.store(true, Ordering::Relaxed);
    let Some(version) = env::var_os(VARIABLE) else { return };
    if env::args_os().next_back() == Some(OsString::from(ARGUMENT)) {
        process::exit(if version == VERSION { run() } else { OTHER_VERSION });
    }
}

/// A path to what `path` leads to now, for as long as the file beside it is open; what cannot be opened keeps its own.
#[cfg(target_os = "linux")]
fn own_path(path: PathBuf) -> (Option<File>, PathBuf) {
    use std::os::fd::AsRawFd;
    // The server's own names of open files only: a pipe in the place of any other would be waited for.
    if !path.starts_with("/proc") {
        return (None, path);
    }
    match File::open(&path) {
        Ok(file) => {
            let own = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
            (Some(file), own)
        }
        Err(_) => (None, path),
    }
}

#[cfg(not(target_os = "linux"))]
fn own_path(path: PathBuf) -> (Option<File>, PathBuf) {
    (None, path)
}

/// Does one job; returns the exit code.
fn run() -> i32 {
    if !sandbox::die_with_parent() {
        return NO_JOB;
    }
    let Ok(Job { path, options, memory, cpu_seconds }) = Job::read(io::stdin().lock()) else { return NO_JOB };
    // Afterwards, what another process has open can no longer be opened.
    let (_file, path) = own_path(PathBuf::from(path));
    let path = path.as_path();
    let mut pipe = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut send = |message: Message| wire::write(&mut pipe, &message).is_ok();
    let missing = sandbox::enter(path, Bounds { memory, cpu_seconds });
    if !send(Message::Started(missing)) {
        return NO_JOB;
    }
    source::decode(path, &options, send);
    0
}
