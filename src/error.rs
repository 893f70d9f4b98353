//! Everything that can go wrong between a file and an answer.

use std::path::PathBuf;

use crate::{
    ErrorKind, MemoryPlan,
    checkpoint::{self, config::TowerFamily},
    compress, llm, vision,
};

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed; each message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watcher said to stop.
    #[error(transparent)]
    Cancelled(#[from] longvu_core::Cancelled),

    /// A device or dtype.
    #[error(transparent)]
    Core(#[from] longvu_core::Error),

    /// Configuration or checkpoint.
    #[error(transparent)]
    Checkpoint(checkpoint::Error),

    /// A video or image file.
    #[cfg(feature = "video")]
    #[error(transparent)]
    Video(#[from] crate::video::Error),

    /// A frame whose pixels do not have its size.
    #[error(transparent)]
    Vision(#[from] vision::Error),

    /// Tokenizer, prompt or generation settings.
    #[error(transparent)]
    Llm(llm::Error),

    /// A compression stage.
    #[error(transparent)]
    Compress(compress::Error),

    /// A preset's name.
    #[error(transparent)]
    Preset(#[from] compress::UnknownPreset),

    /// A stage by a name or with settings that there are not.
    #[error(transparent)]
    StageSpec(#[from] compress::BadStageSpec),

    /// A video source of the caller's failed.
    #[error("the frame source failed")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A thread could not be started.
    #[error("no thread could be started; end other programs, or raise the limit on processes")]
    Thread {
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// A thread that prepares frames broke down.
    #[error("{work} the video broke down: {message}; if it is not your frame source that did, please report this")]
    Panicked {
        /// What the thread did.
        work: &'static str,
        /// What it said.
        message: String,
    },

    /// Frames that wait could not be kept on disk.
    #[error(
        "frames that wait for the end of the video could not be kept in a temporary file in {} ({} MB so far); make room \
         there, name another folder (`waiting_folder`, or TMPDIR), or let more of them wait in memory (`waiting_frames`)",
        folder.display(),
        bytes >> 20
    )]
    Spill {
        /// Where the file is.
        folder: PathBuf,
        /// Bytes written before.
        bytes: u64,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// The built-in model's files could not be put where they are read from.
    #[error(
        "the built-in model could not be unpacked to {}; make room there, or name another folder (TMPDIR)",
        folder.display()
    )]
    Unpack {
        /// Where they were to go.
        folder: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// A file that does not hold an encoded video, or not a whole one.
    #[error("{path}: {reason}", path = path.display())]
    BadEncoding {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A file that does not hold features of frames, or not whole ones.
    #[error("{path}: {reason}", path = path.display())]
    BadFeatures {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// An encoded video that was made by another program version, model, or with other settings.
    #[error(
        "{} was encoded with {what} {found}, and here it is {expected}; {advice}",
        path.as_ref().map_or_else(|| "a video of this prompt".to_owned(), |path| path.display().to_string())
    )]
    EncodingMismatch {
        /// The file, for one that was read from a file just now.
        path: Option<PathBuf>,
        /// What differs.
        what: &'static str,
        /// Its value in the file.
        found: String,
        /// Its value here.
        expected: String,
        /// What to do.
        advice: &'static str,
        /// The names under which it is set.
        settings: &'static [&'static str],
    },

    /// An encoded video without what its spatial stage goes by.
    #[error(
        "the spatial stage goes by what the vision tower attended to, and a video of this prompt was encoded without that; \
         encode it again with this stage named (`spatial_stage`), or ask with another"
    )]
    NoAttention,

    /// A video without a single frame.
    #[error("the video has no frames to look at; check the file, and `start` and `end` if they are set")]
    NoFrames,

    /// An answer was asked for that had failed before its end.
    #[error("this answer broke off before its end, with the error that was returned then; ask again")]
    AnswerBroken {
        /// The kind of that error.
        kind: ErrorKind,
    },

    /// An answer was to join others of another language model.
    #[error(
        "this answer is of another loaded model than the others of the batch, whose weights are read once for all; \
         make a batch for each model"
    )]
    OtherModel,

    /// Nothing was asked.
    #[error("the question is empty; ask something, \"What happens in this video?\" for example")]
    EmptyQuestion,

    /// The prompt's text alone does not fit.
    #[error(
        "the prompt has {tokens} tokens of text, and the model's window of {window} must also hold the video and \
         {reserved} tokens of answer; shorten the question, or start a new chat"
    )]
    PromptTooLong {
        /// Tokens of text.
        tokens: usize,
        /// The model's window.
        window: usize,
        /// Tokens reserved for the answer.
        reserved: usize,
    },

    /// The prompt's places and the videos and images given do not match.
    #[error("the prompt has {places} place(s) for a video or image, but {given} were given")]
    PlaceholderCount {
        /// `<image>` placeholders in the prompt.
        places: usize,
        /// Videos and images given.
        given: usize,
    },

    /// Videos and images that do not fit into one prompt, however much the videos are reduced.
    #[error(
        "{images} image(s) of {image_tokens} tokens together and {videos} video(s) of {video_tokens} or more do not fit: \
         beside {text} tokens of text and {reserved} reserved for the answer, {room} may be theirs in the model's window \
         of {window}; ask about fewer at a time, or allow more"
    )]
    VisualsTooLarge {
        /// Images given.
        images: usize,
        /// Their tokens.
        image_tokens: usize,
        /// Videos given.
        videos: usize,
        /// Tokens of one frame of each video.
        video_tokens: usize,
        /// Tokens of text.
        text: usize,
        /// Tokens that videos and images may have.
        room: usize,
        /// The model's window.
        window: usize,
        /// Tokens reserved for the answer.
        reserved: usize,
    },

    /// The towers are neither beside the model nor downloadable.
    #[error(
        "the {family} tower was not found: looked for {}; pass its folder's parent as `towers`, or \
         allow a download of {repo}",
        looked_for.join(", ")
    )]
    TowerNotFound {
        /// Which tower.
        family: TowerFamily,
        /// Local places tried.
        looked_for: Vec<String>,
        /// The repository on the Hub.
        repo: String,
        /// Why it could not be had from there.
        source: Box<checkpoint::Error>,
    },

    /// More memory would be needed than there is.
    #[error("{}", .0.shortage())]
    Memory(Box<MemoryPlan>),

    /// A setting with no meaning.
    #[error("{name} is {value}; {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
}

impl From<checkpoint::Error> for Error {
    fn from(error: checkpoint::Error) -> Self {
        match error {
            checkpoint::Error::Cancelled(stopped) => Self::Cancelled(stopped),
            error => Self::Checkpoint(error),
        }
    }
}

impl From<compress::Error> for Error {
    fn from(error: compress::Error) -> Self {
        match error {
            compress::Error::Cancelled(stopped) => Self::Cancelled(stopped),
            error => Self::Compress(error),
        }
    }
}

impl From<llm::Error> for Error {
    fn from(error: llm::Error) -> Self {
        match error {
            llm::Error::Cancelled(stopped) => Self::Cancelled(stopped),
            error => Self::Llm(error),
        }
    }
}

impl Error {
    /// Names of the settings that may help, of the builder, of `VideoOptions`, of [`GenerationConfig`](crate::GenerationConfig)
    /// or of `config.json`: a program that has flags for them can name those.
    pub fn settings(&self) -> &[&'static str] {
        match self {
            Self::Spill { .. } => &["waiting_frames", "waiting_folder"],
            Self::NoFrames => &["start", "end"],
            Self::NoAttention => &["spatial_stage"],
            Self::VisualsTooLarge { .. } => &["visual_tokens", "max_len"],
            Self::TowerNotFound { .. } => &["towers"],
            Self::EncodingMismatch { settings, .. } => settings,
            Self::Setting { name, .. } | Self::Llm(llm::Error::InvalidSetting { name, .. }) => {
                std::slice::from_ref(name)
            }
            _ => &[],
        }
    }

    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Core(error) => error.kind(),
            Self::Checkpoint(error) => error.kind(),
            #[cfg(feature = "video")]
            Self::Video(error) => match error.kind() {
                crate::video::ErrorKind::BadInput => ErrorKind::BadInput,
                crate::video::ErrorKind::NotFound => ErrorKind::NotFound,
                crate::video::ErrorKind::DoesNotFit => ErrorKind::DoesNotFit,
                _ => ErrorKind::Internal,
            },
            Self::Vision(error) => error.kind(),
            Self::Llm(error) => error.kind(),
            Self::Compress(error) => error.kind(),
            Self::Preset(error) => error.kind(),
            Self::StageSpec(error) => error.kind(),
            // The folder is whoever's the program is, and not of those who ask.
            Self::Spill { source, .. } | Self::Unpack { source, .. } => match source.kind().into() {
                ErrorKind::DoesNotFit => ErrorKind::DoesNotFit,
                _ => ErrorKind::Internal,
            },
            Self::TowerNotFound { source, .. } => source.kind(),
            Self::AnswerBroken { kind } => *kind,
            Self::Source(_) | Self::Thread { .. } | Self::Panicked { .. } => ErrorKind::Internal,
            Self::PromptTooLong { .. } | Self::VisualsTooLarge { .. } | Self::Memory(_) => ErrorKind::DoesNotFit,
            Self::BadEncoding { .. }
            | Self::BadFeatures { .. }
            | Self::EncodingMismatch { .. }
            | Self::NoFrames
            | Self::NoAttention
            | Self::OtherModel
            | Self::EmptyQuestion
            | Self::PlaceholderCount { .. }
            | Self::Setting { .. } => ErrorKind::BadInput,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let path = || PathBuf::from("a");
        let spill = |kind: io::ErrorKind| Error::Spill { folder: path(), bytes: 0, source: kind.into() };
        let no_model = checkpoint::Error::NotFound { path: path(), hint: "because".into() };
        for (error, kind) in [
            (longvu_core::Cancelled.into(), ErrorKind::Cancelled),
            (Error::AnswerBroken { kind: ErrorKind::Device }, ErrorKind::Device),
            (longvu_core::Error::Dtype("unknown".into()).into(), ErrorKind::Device),
            (no_model.into(), ErrorKind::NotFound),
            (llm::Error::TextTooLong { bytes: 2, limit: 1 }.into(), ErrorKind::DoesNotFit),
            ("imagenet".parse::<compress::Preset>().unwrap_err().into(), ErrorKind::BadInput),
            (Error::Source("unplugged".into()), ErrorKind::Internal),
            (Error::Thread { source: io::ErrorKind::WouldBlock.into() }, ErrorKind::Internal),
            (Error::Panicked { work: "decoding", message: "because".into() }, ErrorKind::Internal),
            (spill(io::ErrorKind::StorageFull), ErrorKind::DoesNotFit),
            (spill(io::ErrorKind::NotFound), ErrorKind::Internal),
            (Error::Unpack { folder: path(), source: io::ErrorKind::PermissionDenied.into() }, ErrorKind::Internal),
            (Error::BadEncoding { path: path(), reason: "because".into() }, ErrorKind::BadInput),
            (Error::BadFeatures { path: path(), reason: "because".into() }, ErrorKind::BadInput),
            (Error::NoFrames, ErrorKind::BadInput),
            (Error::PromptTooLong { tokens: 9, window: 8, reserved: 1 }, ErrorKind::DoesNotFit),
            (Error::Setting { name: "a", value: "1".into(), expected: "2" }, ErrorKind::BadInput),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }

    #[test]
    fn what_was_stopped_has_one_error_wherever_it_was() {
        let stopped = longvu_core::Cancelled;
        for error in [
            stopped.into(),
            checkpoint::Error::from(stopped).into(),
            compress::Error::from(stopped).into(),
            llm::Error::from(stopped).into(),
        ] {
            assert!(matches!(error, Error::Cancelled(_)));
        }
    }

    #[test]
    #[cfg(feature = "video")]
    fn a_video_s_errors_keep_their_kinds() {
        let path = || PathBuf::from("a");
        for (error, kind) in [
            (crate::video::Error::NotFound { path: path() }, ErrorKind::NotFound),
            (crate::video::Error::EmptyFile { path: path() }, ErrorKind::BadInput),
            (crate::video::Error::FileTooLarge { path: path(), bytes: 9, limit: 8 }, ErrorKind::DoesNotFit),
            (crate::video::Error::Read { path: path(), packets: 0, reason: "because".into() }, ErrorKind::Internal),
        ] {
            assert_eq!(Error::from(error).kind(), kind);
        }
    }
}
