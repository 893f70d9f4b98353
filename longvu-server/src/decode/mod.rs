//! Videos and pictures to frames, in a process of their own.
//!
//! What a file does to its decoder stays in a process that can read this one file and do little else ([`sandbox`]), that is
//! killed at its limits ([`limits`]), and whose every word is looked at before it is used ([`wire`]). The process is this program,
//! run again ([`worker`]), and writes frames to a pipe that its parent reads ([`child`]).

mod child;
mod decoding;
mod error;
mod limits;
mod sandbox;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod seccomp;
mod source;
mod wire;
mod worker;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::mpsc,
};

use longvu::VideoOptions;

pub use child::Killer;
pub use decoding::{Decoding, Warnings};
pub use error::DecodeError;
pub use limits::DecodeLimits;
pub use worker::init;

use child::Program;
use decoding::Stream;
use wire::Job;

/// Where videos and pictures are decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// In processes of this program, whose `main` calls [`init`] first.
    #[default]
    CurrentProgram,
    /// In processes of another program of the same version, whose `main` calls [`init`] first: `longvu` is one.
    Program {
        /// The program.
        path: PathBuf,
        /// Arguments to come first.
        args: Vec<OsString>,
    },
    /// On threads of this process: a file that brings a decoder down brings this process down, and neither memory nor what the
    /// decoder can reach is limited.
    InProcess,
}

/// Opens videos and pictures within limits.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// `None` for threads of this process.
    program: Option<Program>,
    limits: DecodeLimits,
}

impl Decoder {
    /// Decoding as `isolation` says, each file within `limits`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::NoInit`] for [`Isolation::CurrentProgram`] in a program that did not call [`init`]: run again, it would do
    /// whatever it does. [`DecodeError::Start`] if the program cannot be found.
    pub fn new(isolation: Isolation, limits: DecodeLimits) -> Result<Self, DecodeError> {
        let program = match isolation {
            Isolation::CurrentProgram if !worker::is_initialised() => return Err(DecodeError::NoInit),
            Isolation::CurrentProgram => Some(Program::current()?),
            Isolation::Program { path, args } => Some(Program::new(path, args)),
            Isolation::InProcess => None,
        };
        Ok(Self { program, limits })
    }

    /// Opens a video or picture, told apart by its content, and starts decoding it. Blocks until it is known what the file is.
    ///
    /// # Errors
    ///
    /// What the library says of the file or the options, what is over a limit, and what becomes of the process.
    pub fn open(&self, path: &Path, options: &VideoOptions) -> Result<Decoding, DecodeError> {
        self.open_with(path, options, |_| {})
    }

    /// As [`open`](Self::open), and hands out what stops it before anything is read.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with(
        &self,
        path: &Path,
        options: &VideoOptions,
        started: impl FnOnce(Killer),
    ) -> Result<Decoding, DecodeError> {
        let options = self.limits.apply(options);
        options.validate().map_err(|error| {
            let error = longvu::Error::from(error);
            DecodeError::Refused { kind: error.kind(), message: error.to_string() }
        })?;
        let path = std::path::absolute(path)?;
        // One frame waits while the next is decoded.
        let (events, received) = mpsc::sync_channel(1);
        let killer = match &self.program {
            None => decoding::start_thread(&path, options.clone(), events)?,
            Some(program) => {
                let (memory, cpu_seconds) = (self.limits.memory, self.limits.cpu_seconds());
                let job = Job { path: path.into_os_string(), options: options.clone(), memory, cpu_seconds };
                child::start(program, job, &self.limits, events)?
            }
        };
        started(killer.clone());
        Decoding::begin(Stream::new(received, killer, self.limits), &options)
    }
}

/// Locks this process in as a decoding process is, with `file` the only one that it can open; returns what could not be done.
#[doc(hidden)]
pub fn enter_sandbox(file: &Path, memory: u64, cpu_seconds: u64) -> Vec<String> {
    sandbox::enter(file, sandbox::Bounds { memory, cpu_seconds })
}
