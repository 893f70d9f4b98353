//! What can go wrong in an evaluation or a batch.

use std::{io, path::PathBuf};

use longvu::ErrorKind;

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed; each message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model, a video, or the watcher that said to stop.
    #[error(transparent)]
    Model(#[from] longvu::Error),

    /// A file or folder that cannot be read or written.
    #[error("{} cannot be {what}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },

    /// A data set's file that is not what it is published as.
    #[error("{}: {reason}", path.display())]
    BadData {
        /// The file.
        path: PathBuf,
        /// Where in it, what is wrong, and what should be there.
        reason: String,
    },

    /// A question that cannot be scored.
    #[error("question {id} in {}: {reason}", path.display())]
    BadQuestion {
        /// The file.
        path: PathBuf,
        /// The question.
        id: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Videos that are not where they should be.
    #[error("{} of {of} videos are missing, {}", paths.len(), listed(paths))]
    MissingVideos {
        /// Where they should be.
        paths: Vec<PathBuf>,
        /// Videos of the run.
        of: usize,
    },

    /// A run's folder that holds something else.
    #[error("{} {reason}", path.display())]
    BadRun {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A video of a run that is to be strict.
    #[error("{} cannot be evaluated", video.display())]
    Strict {
        /// The video.
        video: PathBuf,
        /// Why.
        source: Box<longvu::Error>,
    },

    /// A setting that makes no sense.
    #[error("{setting} cannot be {value}; {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it was.
        value: String,
        /// What would do.
        expected: String,
    },
}

/// The first few of many paths.
fn listed(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    let more = paths.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Model(error) => error.kind(),
            Self::Strict { source, .. } => source.kind(),
            Self::Io { source, .. } => source.kind().into(),
            Self::MissingVideos { .. } => ErrorKind::NotFound,
            Self::BadData { .. } | Self::BadQuestion { .. } | Self::BadRun { .. } | Self::Setting { .. } => {
                ErrorKind::BadInput
            }
        }
    }

    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what: "read", source }
    }

    pub(crate) fn write(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, what: "written", source }
    }
}
