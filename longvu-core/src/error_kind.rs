//! What kind of thing went wrong, for callers that act on it.

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
