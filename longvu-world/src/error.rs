//! What can go wrong.

use std::path::PathBuf;

use crate::ErrorKind;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a video could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that makes no sense.
    #[error("{option} is {value}, but must be {expected}")]
    InvalidOption {
        /// Which setting.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },

    /// A script, from a file or another program, that cannot be drawn.
    #[error("this script cannot be drawn: {reason}; draw it again from its seed")]
    InvalidScript {
        /// What is wrong in it.
        reason: String,
    },

    /// FFmpeg has neither an H.264 nor an MPEG-4 encoder that takes this video.
    #[error("{}: FFmpeg has no encoder for it ({reason}); install an FFmpeg with libx264", path.display())]
    NoEncoder {
        /// The file to be written.
        path: PathBuf,
        /// What each encoder said.
        reason: String,
    },

    /// FFmpeg gave up midway. The file is not written.
    #[error("{}: cannot be written: {reason}; check that the disk has room", path.display())]
    Encode {
        /// The file to be written.
        path: PathBuf,
        /// FFmpeg's reason.
        reason: String,
    },

    /// The file system refused. The file is not written.
    #[error("{}: cannot be written; check that its folder exists and may be written to", path.display())]
    Io {
        /// The file to be written.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidOption { .. } | Self::InvalidScript { .. } => ErrorKind::BadInput,
            Self::NoEncoder { .. } => ErrorKind::NotFound,
            Self::Encode { .. } => ErrorKind::Internal,
            Self::Io { source, .. } => source.kind().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let (path, reason) = (|| PathBuf::from("a"), || "because".to_owned());
        let io = |kind: io::ErrorKind| Error::Io { path: path(), source: kind.into() };
        for (error, kind) in [
            (Error::InvalidOption { option: "a", value: "1".into(), expected: "2" }, ErrorKind::BadInput),
            (Error::InvalidScript { reason: reason() }, ErrorKind::BadInput),
            (Error::NoEncoder { path: path(), reason: reason() }, ErrorKind::NotFound),
            (Error::Encode { path: path(), reason: reason() }, ErrorKind::Internal),
            (io(io::ErrorKind::NotFound), ErrorKind::NotFound),
            (io(io::ErrorKind::StorageFull), ErrorKind::DoesNotFit),
            (io(io::ErrorKind::PermissionDenied), ErrorKind::BadInput),
            (io(io::ErrorKind::Other), ErrorKind::Internal),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
