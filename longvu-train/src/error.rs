//! What can go wrong while training.

use std::{
    io,
    path::{Path, PathBuf},
};

use longvu_core::ErrorKind;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why training, or preparing it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watcher said to stop.
    #[error(transparent)]
    Cancelled(#[from] longvu_core::Cancelled),
    /// A setting out of range.
    #[error("`{name}` is {value}; expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder that cannot be written, moved or removed.
    #[error("{} cannot be written; make room, or name another place", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A checkpoint that belongs to another run.
    #[error("the checkpoint in {path} can't be resumed: {reason}")]
    ForeignCheckpoint {
        /// Where it is.
        path: String,
        /// Why.
        reason: String,
    },
    /// A tensor of another shape than the model's.
    #[error("`{name}` in {origin} has the shape {found:?}, the model's is {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// In the file.
        found: Vec<usize>,
        /// In the model.
        expected: Vec<usize>,
        /// The file.
        origin: String,
    },
    /// A tokenizer that could not be trained.
    #[error("the tokenizer can't be trained: {reason}")]
    Tokenizer {
        /// Why.
        reason: String,
    },
    /// A plot that could not be drawn.
    #[error("{}: the plot can't be drawn: {reason}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A tensor that the model has and its checkpoint lacks.
    #[error("{origin} has no `{name}`; a stage that is not trained needs a checkpoint with all its tensors")]
    Missing {
        /// The tensor.
        name: String,
        /// The file.
        origin: String,
    },
    /// Threads that could not be started.
    #[error("worker threads can't be started: {reason}")]
    Threads {
        /// Why.
        reason: String,
    },
    /// A loss or gradients that are no numbers.
    #[error(
        "stage {stage} diverged at step {step}: its loss or gradients are no numbers; lower `lr`, or train longer with `warmup`"
    )]
    Diverged {
        /// The stage.
        stage: String,
        /// The step.
        step: usize,
    },
    /// A sample whose questions leave no room for the video.
    #[error("sample {index}: its text has {tokens} tokens and leaves nothing of a window of {window} for the video")]
    SampleTooLong {
        /// Which.
        index: u64,
        /// Tokens of its text.
        tokens: usize,
        /// `tokenizer_model_max_length`.
        window: usize,
    },
    /// A sample whose questions and answers are longer than the window.
    #[error(
        "sample {index}: {tokens} tokens of questions and answers do not fit into a window of {window}; shorten it, or \
         leave it out"
    )]
    AnswerTooLong {
        /// Which.
        index: u64,
        /// Tokens of its text.
        tokens: usize,
        /// `tokenizer_model_max_length`.
        window: usize,
    },
    /// Another run works in the folder.
    #[error("{}: another training run works in this folder; wait for its end, or name another folder", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// Checkpoints and configurations.
    #[error(transparent)]
    Checkpoint(longvu_checkpoint::Error),
    /// The pipeline.
    #[error(transparent)]
    LongVu(longvu::Error),
    /// Frames.
    #[error(transparent)]
    Vision(#[from] longvu_vision::Error),
    /// The compression stages.
    #[error(transparent)]
    Compress(#[from] longvu_compress::Error),
    /// Prompts.
    #[error(transparent)]
    Llm(#[from] longvu_llm::Error),
    /// The drawn world.
    #[error(transparent)]
    World(#[from] longvu_world::Error),
}

impl From<longvu_checkpoint::Error> for Error {
    fn from(error: longvu_checkpoint::Error) -> Self {
        match error {
            longvu_checkpoint::Error::Cancelled(stopped) => Self::Cancelled(stopped),
            error => Self::Checkpoint(error),
        }
    }
}

impl From<longvu::Error> for Error {
    fn from(error: longvu::Error) -> Self {
        match error {
            longvu::Error::Cancelled(stopped) => Self::Cancelled(stopped),
            error => Self::LongVu(error),
        }
    }
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Setting { .. }
            | Self::File { .. }
            | Self::ForeignCheckpoint { .. }
            | Self::Shape { .. }
            | Self::Tokenizer { .. }
            | Self::Missing { .. }
            | Self::Diverged { .. }
            | Self::InUse { .. } => ErrorKind::BadInput,
            Self::Read { source, .. } | Self::Write { source, .. } => source.kind().into(),
            Self::Plot { .. } | Self::Threads { .. } => ErrorKind::Internal,
            Self::SampleTooLong { .. } | Self::AnswerTooLong { .. } => ErrorKind::DoesNotFit,
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Checkpoint(error) => error.kind(),
            Self::LongVu(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            Self::Compress(error) => error.kind(),
            Self::Llm(error) => error.kind(),
            Self::World(error) => match error.kind() {
                longvu_world::ErrorKind::BadInput => ErrorKind::BadInput,
                longvu_world::ErrorKind::NotFound => ErrorKind::NotFound,
                longvu_world::ErrorKind::DoesNotFit => ErrorKind::DoesNotFit,
                _ => ErrorKind::Internal,
            },
        }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let (path, reason) = (|| PathBuf::from("a"), || "because".to_owned());
        let unread = |kind: io::ErrorKind| Error::Read { path: path(), source: kind.into() };
        let no_encoder = longvu_world::Error::NoEncoder { path: path(), reason: reason() };
        for (error, kind) in [
            (Error::Setting { name: "a", value: "1".into(), expected: "2" }, ErrorKind::BadInput),
            (unread(io::ErrorKind::NotFound), ErrorKind::NotFound),
            (Error::Write { path: path(), source: io::ErrorKind::StorageFull.into() }, ErrorKind::DoesNotFit),
            (Error::File { path: path(), reason: reason() }, ErrorKind::BadInput),
            (Error::Threads { reason: reason() }, ErrorKind::Internal),
            (Error::Diverged { stage: "a".into(), step: 1 }, ErrorKind::BadInput),
            (Error::AnswerTooLong { index: 0, tokens: 9, window: 8 }, ErrorKind::DoesNotFit),
            (Error::InUse { folder: path() }, ErrorKind::BadInput),
            (longvu_checkpoint::Error::NotFound { path: path(), hint: reason() }.into(), ErrorKind::NotFound),
            (longvu_checkpoint::Error::from(longvu_core::Cancelled).into(), ErrorKind::Cancelled),
            (longvu::Error::EmptyQuestion.into(), ErrorKind::BadInput),
            (no_encoder.into(), ErrorKind::NotFound),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
