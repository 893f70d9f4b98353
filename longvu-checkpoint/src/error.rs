//! What can go wrong while finding, reading and checking a checkpoint.

use std::path::PathBuf;

use longvu_core::{
    ErrorKind,
    text::{escape, escape_path, told},
};

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything this crate reports; each message says what failed, where, and what to do.
///
/// Messages quote files and servers, whose control characters they show escaped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watcher said to stop.
    #[error(transparent)]
    Cancelled(#[from] longvu_core::Cancelled),

    /// A file or folder that should be there is not.
    #[error("{path} not found: {}", told(hint), path = escape_path(path))]
    NotFound {
        /// The path that was looked for.
        path: PathBuf,
        /// What to do about it.
        hint: String,
    },

    /// A file cannot be read.
    #[error("{path} cannot be read", path = escape_path(path))]
    Read {
        /// The file concerned.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// A JSON file could not be understood.
    #[error("{path}: {}", told(reason), path = escape_path(path))]
    Config {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it and what was expected.
        reason: String,
    },

    /// A file that asks for more than [`Limits`](crate::Limits) allow.
    #[error("{path}: {}", told(reason), path = escape_path(path))]
    OverLimit {
        /// The file concerned.
        path: PathBuf,
        /// How much it asks for, and what is allowed.
        reason: String,
    },

    /// A weights file is damaged or of an unknown kind.
    #[error("{path} is not a readable weights file: {}", told(reason), path = escape_path(path))]
    BadWeights {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },

    /// A file or folder cannot be written.
    #[error("{path} could not be written; make room, or name another place", path = escape_path(path))]
    Write {
        /// The file or folder concerned.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// A weights file cannot be made of what was given for it.
    #[error("{path} could not be written: {}", told(reason), path = escape_path(path))]
    BadTensors {
        /// The file concerned.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },

    /// The checkpoint's tensors are not those the configuration asks for.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),

    /// A device or dtype.
    #[error(transparent)]
    Core(#[from] longvu_core::Error),

    /// The Hugging Face Hub could not deliver a file.
    #[error("{}: {}", escape(repo), told(reason))]
    Hub {
        /// The repository id.
        repo: String,
        /// Whether it is not there, does not fit on the disk, or something else.
        kind: ErrorKind,
        /// What happened and what to do.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Read`] of `path`, for use with `map_err`.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// An [`Error::Write`] of `path`, for use with `map_err`.
    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }

    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Read { source, .. } | Self::Write { source, .. } => source.kind().into(),
            Self::Config { .. } | Self::BadWeights { .. } | Self::BadTensors { .. } | Self::Mismatch(_) => {
                ErrorKind::BadInput
            }
            Self::OverLimit { .. } => ErrorKind::DoesNotFit,
            Self::Core(error) => error.kind(),
            Self::Hub { kind, .. } => *kind,
        }
    }
}

/// The tensors of a checkpoint that do not fit a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// The model part and where its weights came from.
    pub origin: String,
    /// Names that the model needs and the checkpoint lacks.
    pub missing: Vec<String>,
    /// Tensors whose shape is not the configured one: name, expected (empty where there should be none), found.
    pub misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Names that the checkpoint has and the model does not know.
    pub unexpected: Vec<String>,
    /// A closing remark, such as the configuration key to look at.
    pub hint: String,
}

/// Names listed in a message before the rest is counted.
const LISTED: usize = 12;

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: the weights do not fit the configuration", escape(&self.origin))?;
        let mut list = |title: &str, lines: Vec<String>| -> std::fmt::Result {
            if lines.is_empty() {
                return Ok(());
            }
            write!(f, "\n  {} {title}:", lines.len())?;
            for line in lines.iter().take(LISTED) {
                write!(f, "\n    {}", told(&escape(line)))?;
            }
            if lines.len() > LISTED {
                write!(f, "\n    ... and {} more", lines.len() - LISTED)?;
            }
            Ok(())
        };
        list("missing", self.missing.clone())?;
        let misshaped = self.misshaped.iter();
        let misshaped = misshaped.map(|(name, want, got)| match want[..] {
            [] => format!("{name}: expected none, found {got:?}"),
            _ => format!("{name}: expected {want:?}, found {got:?}"),
        });
        list("of the wrong shape", misshaped.collect())?;
        list("unexpected", self.unexpected.clone())?;
        if !self.hint.is_empty() {
            write!(f, "\n  {}", told(&self.hint))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let (path, reason) = (|| PathBuf::from("a"), || "because".to_owned());
        let read = |kind: io::ErrorKind| Error::Read { path: path(), source: kind.into() };
        for (error, kind) in [
            (Error::NotFound { path: path(), hint: reason() }, ErrorKind::NotFound),
            (read(io::ErrorKind::NotFound), ErrorKind::NotFound),
            (read(io::ErrorKind::FileTooLarge), ErrorKind::DoesNotFit),
            (read(io::ErrorKind::InvalidInput), ErrorKind::BadInput),
            (read(io::ErrorKind::Other), ErrorKind::Internal),
            (Error::Write { path: path(), source: io::ErrorKind::StorageFull.into() }, ErrorKind::DoesNotFit),
            (Error::Config { path: path(), reason: reason() }, ErrorKind::BadInput),
            (Error::OverLimit { path: path(), reason: reason() }, ErrorKind::DoesNotFit),
            (Error::BadWeights { path: path(), reason: reason() }, ErrorKind::BadInput),
            (Error::BadTensors { path: path(), reason: reason() }, ErrorKind::BadInput),
            (Error::Mismatch(Box::default()), ErrorKind::BadInput),
            (longvu_core::Error::Dtype(reason()).into(), ErrorKind::Device),
            (Error::Hub { repo: "a/b".into(), kind: ErrorKind::NotFound, reason: reason() }, ErrorKind::NotFound),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
