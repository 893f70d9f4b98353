//! What kind of thing went wrong, for callers that act on it.

use std::io;

/// What a caller can do something about; every error of this workspace's libraries has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, text or setting that cannot be used: another may be.
    BadInput,
    /// Something named is not there, or cannot be reached.
    NotFound,
    /// It is too large for the model's window, for a limit, for memory or for the disk.
    DoesNotFit,
    /// It was stopped by its watcher.
    Cancelled,
    /// A device or dtype that this build or machine does not have.
    Device,
    /// The operating system, a thread, or this library itself failed.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_errors_have_kinds() {
        for (kind, expected) in [
            (io::ErrorKind::NotFound, ErrorKind::NotFound),
            (io::ErrorKind::StorageFull, ErrorKind::DoesNotFit),
            (io::ErrorKind::FileTooLarge, ErrorKind::DoesNotFit),
            (io::ErrorKind::PermissionDenied, ErrorKind::BadInput),
            (io::ErrorKind::UnexpectedEof, ErrorKind::BadInput),
            (io::ErrorKind::Interrupted, ErrorKind::Internal),
            (io::ErrorKind::Other, ErrorKind::Internal),
        ] {
            assert_eq!(ErrorKind::from(kind), expected, "{kind}");
        }
    }
}
