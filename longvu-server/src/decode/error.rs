//! Why a video or picture could not be decoded.

use std::{io, time::Duration};

use longvu::ErrorKind;

/// What went wrong. Messages name neither the file nor anything of the machine, so that a client may read them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The library refused the file or the settings.
    #[error("{message}")]
    Refused {
        /// What a caller can do.
        kind: ErrorKind,
        /// The library's message, with "the video" or "the picture" in the place of the file's path.
        message: String,
    },

    /// More frames than a request may have.
    #[error(
        "{frames} frames of the video would be looked at, and {limit} are allowed; ask for fewer with `num_frames` or a lower \
         `fps`, or for a part of it with `start` and `end`"
    )]
    TooManyFrames {
        /// Frames that the settings pick.
        frames: usize,
        /// Frames allowed.
        limit: usize,
    },

    /// More seconds than a request may have.
    #[error(
        "{seconds:.1} s of video were asked for, and {limit} s are allowed; ask for a part of it with `start` and `end`"
    )]
    TooLong {
        /// Seconds from `start`, or the beginning, to `end`, or the end.
        seconds: f64,
        /// Seconds allowed.
        limit: f64,
    },

    /// Decoding ran out of the memory that it may have.
    #[error("decoding needs more than the {} MB of memory that it may have; scale the file down first", limit >> 20)]
    Memory {
        /// Bytes allowed.
        limit: u64,
    },

    /// Decoding took too long.
    #[error(
        "decoding takes longer than the {} s that it may; ask for fewer frames or a part of the video, or scale it down first",
        limit.as_secs_f64()
    )]
    Time {
        /// Time allowed.
        limit: Duration,
    },

    /// [`Killer::kill`](super::Killer::kill) was called.
    #[error("decoding was stopped")]
    Killed,

    /// The file brought its decoder down.
    #[error("the decoder broke down over this file ({how}); convert it to another format first")]
    Crashed {
        /// The signal or exit code.
        how: String,
    },

    /// The decoding process was ended by somebody else, or never began.
    #[error("the decoding process ended before its work ({how})")]
    Ended {
        /// The signal or exit code.
        how: String,
    },

    /// The decoding process said what no such process says.
    #[error("the decoding process is not to be trusted: {what}")]
    Protocol {
        /// What it said.
        what: &'static str,
    },

    /// No process or thread could be started.
    #[error("decoding could not be started")]
    Start {
        /// The operating system's reason.
        #[from]
        source: io::Error,
    },

    /// [`init`](crate::init) was not called by this program's `main`.
    #[error(
        "this program cannot decode in a process of its own: call `longvu_server::init()` first in its `main`, or choose another \
         isolation"
    )]
    NoInit,
}

impl DecodeError {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { kind, .. } => *kind,
            Self::TooManyFrames { .. } | Self::TooLong { .. } | Self::Memory { .. } | Self::Time { .. } => {
                ErrorKind::DoesNotFit
            }
            Self::Killed => ErrorKind::Cancelled,
            Self::Crashed { .. } | Self::Protocol { .. } => ErrorKind::BadInput,
            Self::Ended { .. } | Self::Start { .. } | Self::NoInit => ErrorKind::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_with_both_numbers() {
        let error = DecodeError::TooManyFrames { frames: 36_000, limit: 1000 };
        let said = error.to_string();
        for part in ["36000", "1000", "num_frames", "fps", "start", "end"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(error.kind(), ErrorKind::DoesNotFit);
        assert!(DecodeError::Memory { limit: 256 << 20 }.to_string().contains("256 MB"));
    }
}
