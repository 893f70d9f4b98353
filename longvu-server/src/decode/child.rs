//! The parent's side of a decoding process: starting it, listening to it, and seeing it end.

use std::{
    ffi::OsString,
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    error::DecodeError,
    limits::DecodeLimits,
    wire::{Job, Message, Messages},
    worker,
};

/// What listening brings: messages, and at last an end, a failure or an error.
pub(super) type Event = Result<Message, DecodeError>;

/// How long a process may take to end after its last word.
const GRACE: Duration = Duration::from_secs(2);

/// The program of decoding processes.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    /// What a list of processes calls it, unless by its path.
    name: Option<OsString>,
}

impl Program {
    /// Another program.
    pub fn new(path: PathBuf, args: Vec<OsString>) -> Self {
        Self { path, args, name: None }
    }

    /// This program.
    pub fn current() -> Result<Self, DecodeError> {
        // The file that runs, also after another version has taken its place.
        let running = Path::new("/proc/self/exe");
        let path = if running.exists() { running.to_owned() } else { std::env::current_exe()? };
        Ok(Self { path, args: Vec::new(), name: std::env::args_os().next() })
    }
}

/// Stops one decoding, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Killer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_killed: AtomicBool,
    child: Mutex<Option<Child>>,
}

impl Killer {
    /// Ends the decoding process at once, and its frames with [`DecodeError::Killed`]. A decoding thread ends after the frame that
    /// it is at.
    pub fn kill(&self) {
        self.0.is_killed.store(true, Ordering::Release);
        if let Some(child) = &mut *self.child() {
            // It has ended already, or is about to.
            let _ = child.kill();
        }
    }

    /// Whether somebody did.
    pub(super) fn is_killed(&self) -> bool {
        self.0.is_killed.load(Ordering::Acquire)
    }

    /// The process's number, while there is one.
    #[doc(hidden)]
    pub fn process(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.0.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a process under control.
    fn hold(&self, child: Child) {
        *self.child() = Some(child);
        if self.is_killed() {
            self.kill();
        }
    }

    /// How the process ended; it is killed if it does not end by itself, and leaves no entry in the table of processes.
    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        let (start, mut pause) = (Instant::now(), Duration::from_micros(200));
        loop {
            if let Some(child) = &mut *self.child() {
                let status = if start.elapsed() > GRACE {
                    child.kill()?;
                    Some(child.wait()?)
                } else {
                    child.try_wait()?
                };
                if status.is_some() {
                    return Ok(status);
                }
            } else {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Forgets the process once it has been reaped: its number may be another's by now.
    fn forget(&self) {
        self.child().take();
    }
}

/// Starts a process for a job, and a thread that passes on what it says.
pub(super) fn start(
    program: &Program,
    job: Job,
    limits: &DecodeLimits,
    events: SyncSender<Event>,
) -> Result<Killer, DecodeError> {
    let mut child = spawn(command(program))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let killer = Killer::default();
    killer.hold(child);
    let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
        end(&killer);
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    };
    let listener = Listener { killer: killer.clone(), limits: *limits, events };
    let thread = thread::Builder::new().name("longvu-decoding".to_owned());
    if let Err(error) = thread.spawn(move || listener.run(&job, stdin, stdout)) {
        end(&killer);
        return Err(error.into());
    }
    Ok(killer)
}

/// Kills and reaps.
fn end(killer: &Killer) {
    killer.kill();
    // There is nobody to tell that a killed process could not be waited for.
    let _ = killer.reap();
    killer.forget();
}

/// The command line of a decoding process. Of the environment it gets what finds the program's libraries.
fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    #[cfg(unix)]
    if let Some(name) = &program.name {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command
        .args(&program.args)
        .arg(worker::ARGUMENT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env_clear()
        .env(worker::VARIABLE, worker::VERSION)
        // Each further heap of the C library's would take 64 MB of the address space that is allowed.
        .env("MALLOC_ARENA_MAX", "2");
    for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A request to the thread that starts processes, and where the answer goes.
type Request = (Command, Sender<io::Result<Child>>);

static SPAWNER: Mutex<Option<Sender<Request>>> = Mutex::new(None);

/// Starts a process from a thread that lives as long as this program: Linux ends a process that is to die with its parent when
/// the thread that started it does, and threads of a pool may end at any time.
fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = mpsc::channel();
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    let requests = match &*spawner {
        Some(requests) => requests.clone(),
        None => {
            let (requests, received) = mpsc::channel::<Request>();
            thread::Builder::new().name("longvu-processes".to_owned()).spawn(move || {
                for (mut command, answer) in received {
                    // Whoever asked may have gone; a process without a pipe ends by itself, and is seen to here.
                    if let Err(mpsc::SendError(Ok(mut child))) = answer.send(command.spawn()) {
                        let _ = child.kill().and_then(|()| child.wait());
                    }
                }
            })?;
            spawner.insert(requests).clone()
        }
    };
    drop(spawner);
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    requests.send((command, answer)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    child.recv().map_err(gone)?
}

/// Passes on what a process says.
struct Listener {
    killer: Killer,
    limits: DecodeLimits,
    events: SyncSender<Event>,
}

impl Listener {
    fn run(self, job: &Job, mut stdin: ChildStdin, stdout: ChildStdout) {
        // A process that is gone is found out by its silence.
        let _ = job.write(&mut stdin);
        drop(stdin);
        let mut messages = Messages::new(BufReader::with_capacity(1 << 16, stdout), self.limits.pixels);
        let last = loop {
            let message = match messages.next() {
                Ok(Some(Message::Started(missing))) => {
                    tell_missing(&missing);
                    continue;
                }
                Ok(Some(message)) => message,
                Ok(None) => break None,
                Err(error) => break Some(Err(error)),
            };
            if matches!(message, Message::End(_) | Message::Failed(_)) {
                break Some(Ok(message));
            }
            if self.events.send(Ok(message)).is_err() {
                break None;
            }
        };
        if last.as_ref().is_some_and(Result::is_err) {
            self.killer.child().as_mut().map(Child::kill);
        }
        let has_started = messages.has_started();
        // The process sees a closed pipe, should it have more to say.
        drop(messages);
        let status = self.killer.reap();
        self.killer.forget();
        let last = last.unwrap_or_else(|| Err(fate(status, has_started, &self.limits)));
        // Nobody may be listening.
        let _ = self.events.send(last);
    }
}

/// Says once what the system could not do to keep decoders in.
fn tell_missing(missing: &[String]) {
    static SAID: Once = Once::new();
    if !missing.is_empty() {
        SAID.call_once(|| {
            tracing::warn!(missing = missing.join(", "), "decoding processes run without some of their restrictions");
        });
    }
}

/// What a process died of that did not finish its job.
fn fate(status: io::Result<Option<ExitStatus>>, has_started: bool, limits: &DecodeLimits) -> DecodeError {
    let status = match status {
        Ok(Some(status)) => status,
        Ok(None) => return DecodeError::Ended { how: "it could not be found".to_owned() },
        Err(source) => return DecodeError::Start { source },
    };
    if !has_started {
        let how = match status.code() {
            Some(worker::OTHER_VERSION) => "it is another version of the program".to_owned(),
            _ => status.to_string(),
        };
        return DecodeError::Ended { how };
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::Signal;
        return match signal {
            // Rust's way to end a program that gets no memory; FFmpeg's own assertions end so, too, and are rarer.
            signal if signal == Signal::ABORT.as_raw() => DecodeError::Memory { limit: limits.memory },
            signal if signal == Signal::XCPU.as_raw() => DecodeError::Time { limit: limits.time },
            signal if [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw).contains(&signal) => {
                DecodeError::Ended { how: status.to_string() }
            }
            _ => DecodeError::Crashed { how: status.to_string() },
        };
    }
    DecodeError::Crashed { how: status.to_string() }
}
