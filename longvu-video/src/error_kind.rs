//! What kind of thing went wrong, for callers that act on it.

use std::io;

/// What a caller can do something about; every [`Error`](crate::Error) has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or setting that cannot be used: another may be.
    BadInput,
    /// There is no such file.
    NotFound,
    /// It is over a limit, or too large for memory.
    DoesNotFit,
    /// The operating system, or this library itself, failed.
    Internal,
}

impl From<io::ErrorKind> for ErrorKind {
    /// What the operating system says of a file.
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::OutOfMemory => Self::DoesNotFit,
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::UnexpectedEof => Self::BadInput,
            _ => Self::Internal,
        }
    }
}
