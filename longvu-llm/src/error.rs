//! What can go wrong in this crate, and what to do about it.

use std::path::{Path, PathBuf};

use longvu_core::{
    ErrorKind,
    text::{escape, escape_path},
};

use crate::{Role, limits::QUOTED_CHARACTERS};

/// The result of this crate's fallible calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A boxed cause from a dependency.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error from the tokenizer, the prompt, the settings or the sampler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watcher said to stop.
    #[error(transparent)]
    Cancelled(#[from] longvu_core::Cancelled),

    /// A file exists but cannot be read.
    #[error("cannot read {path}; check the path and its permissions", path = escape_path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why the system refused.
        source: std::io::Error,
    },

    /// A JSON file does not hold what it should.
    #[error("{path} is not the JSON expected there; download the file again or correct it", path = escape_path(path))]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: Cause,
    },

    /// A checkpoint folder holds no tokenizer.
    #[error(
        "no tokenizer in {dir}: it needs tokenizer.json, or vocab.json together with merges.txt; \
         download them from the checkpoint's page",
        dir = escape_path(dir)
    )]
    TokenizerMissing {
        /// The folder looked into.
        dir: PathBuf,
    },

    /// The tokenizer's files exist but cannot be used.
    #[error("cannot load the tokenizer from {path}; download the file again", path = escape_path(path))]
    TokenizerFile {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        source: Cause,
    },

    /// The tokenizer has tokens that the language model does not know.
    #[error(
        "the tokenizer's token {id}, {token:?}, has no row in the language model's embedding, which has {rows} \
         ({count} tokens have none); use the tokenizer that the model was trained with, or leave out the tokens that \
         were added to it"
    )]
    TokenBeyondEmbedding {
        /// The first such token's text.
        token: String,
        /// Its id.
        id: u32,
        /// Rows of the embedding: ids below this are known.
        rows: usize,
        /// Tokens without a row.
        count: usize,
    },

    /// The tokenizer is of a kind that LongVU's language models do not have.
    #[error(
        "the tokenizer in {path} is not a byte-level BPE (its decoder is {found}); \
         use the tokenizer of a Qwen2 or Llama 3 checkpoint",
        path = escape_path(path)
    )]
    TokenizerKind {
        /// The file.
        path: PathBuf,
        /// The decoder found there.
        found: String,
    },

    /// A text that no window holds, and that would take much memory to find that out.
    #[error("a text has {bytes} bytes, more than the {limit} allowed; shorten it")]
    TextTooLong {
        /// Its bytes.
        bytes: usize,
        /// Those allowed.
        limit: usize,
    },

    /// The tokenizer failed on a text or on ids.
    #[error("the tokenizer failed to {action}")]
    Tokenize {
        /// `encode a text` or `decode token ids`.
        action: &'static str,
        /// The tokenizer's own report.
        source: Cause,
    },

    /// The checkpoint's chat template cannot be parsed or rendered.
    #[error(
        "the chat template in {path} failed: {reason}; \
         correct it, or remove it to use the built-in template",
        path = escape_path(path)
    )]
    ChatTemplate {
        /// The file that holds the template.
        path: PathBuf,
        /// The template engine's report.
        reason: String,
    },

    /// A text contains the placeholder that stands for an image or video.
    #[error(
        "the {role} text contains \"<image>\", which is reserved for the place of the image or \
         video; leave it out, it is put there for you"
    )]
    PlaceholderInText {
        /// Whose text it is.
        role: Role,
    },

    /// A text contains a token that structures the prompt.
    #[error(
        "the {role} text contains {token:?}, a special token of this model that would change the \
         conversation's structure; leave it out or write it differently, for example with spaces"
    )]
    SpecialTokenInText {
        /// Whose text it is.
        role: Role,
        /// The token found.
        token: String,
    },

    /// The turns of a conversation are not in an order that can be answered.
    #[error(
        "a conversation must begin and end with a user turn and alternate with the assistant's, \
         but {problem}"
    )]
    TurnOrder {
        /// What is out of order.
        problem: String,
    },

    /// The rendered prompt has lost or gained placeholders.
    #[error(
        "the prompt has {found} image placeholders where the conversation has {expected} images \
         or videos; the chat template drops or repeats the first user turn"
    )]
    PlaceholderCount {
        /// Images and videos in the conversation.
        expected: usize,
        /// Placeholders in the rendered prompt.
        found: usize,
    },

    /// A setting is outside its range.
    #[error("{name} is {value}, but must be {expected}")]
    InvalidSetting {
        /// The setting's name.
        name: &'static str,
        /// The value given.
        value: String,
        /// The values allowed.
        expected: &'static str,
    },

    /// The system gives no random numbers to draw tokens with.
    #[error("the system gives no random numbers; set a seed")]
    NoRandomness {
        /// The system's reason.
        source: Cause,
    },

    /// The model gave no logits at all.
    #[error("there are no logits to pick a token from; the model's vocabulary is empty")]
    EmptyLogits,

    /// The model's logits are not finite numbers.
    #[error(
        "the logit of token {index} is {value}: the model's numbers overflowed; \
         run in bf16 or f32 instead of f16, and check the checkpoint's files"
    )]
    NonFiniteLogit {
        /// The first offending position, equal to the token id.
        index: usize,
        /// Its value.
        value: f32,
    },
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled(_) => ErrorKind::Cancelled,
            Self::Read { source, .. } => source.kind().into(),
            Self::TokenizerMissing { .. } => ErrorKind::NotFound,
            Self::NoRandomness { .. } => ErrorKind::Internal,
            Self::TextTooLong { .. } => ErrorKind::DoesNotFit,
            Self::Json { .. }
            | Self::TokenizerFile { .. }
            | Self::TokenBeyondEmbedding { .. }
            | Self::TokenizerKind { .. }
            | Self::Tokenize { .. }
            | Self::ChatTemplate { .. }
            | Self::PlaceholderInText { .. }
            | Self::SpecialTokenInText { .. }
            | Self::TurnOrder { .. }
            | Self::PlaceholderCount { .. }
            | Self::InvalidSetting { .. }
            | Self::EmptyLogits
            | Self::NonFiniteLogit { .. } => ErrorKind::BadInput,
        }
    }

    /// An [`Error::Json`] with a reason that may repeat the file's text.
    pub(crate) fn json(path: &Path, reason: &str) -> Self {
        Self::Json { path: path.into(), source: quoted(reason) }
    }

    /// An [`Error::TokenizerFile`] with a reason that may repeat the file's text.
    pub(crate) fn tokenizer_file(path: &Path, reason: &str) -> Self {
        Self::TokenizerFile { path: path.into(), source: quoted(reason) }
    }
}

/// A reason as a terminal may be given it, and no longer than anyone reads.
fn quoted(reason: &str) -> Cause {
    let quoted: String = reason.chars().take(QUOTED_CHARACTERS).collect();
    escape(&quoted).into_owned().into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let path = || PathBuf::from("a");
        let read = |kind: io::ErrorKind| Error::Read { path: path(), source: kind.into() };
        for (error, kind) in [
            (read(io::ErrorKind::NotFound), ErrorKind::NotFound),
            (read(io::ErrorKind::FileTooLarge), ErrorKind::DoesNotFit),
            (read(io::ErrorKind::PermissionDenied), ErrorKind::BadInput),
            (read(io::ErrorKind::Other), ErrorKind::Internal),
            (Error::json(&path(), "because"), ErrorKind::BadInput),
            (Error::tokenizer_file(&path(), "because"), ErrorKind::BadInput),
            (Error::TokenizerMissing { dir: path() }, ErrorKind::NotFound),
            (Error::TextTooLong { bytes: 2, limit: 1 }, ErrorKind::DoesNotFit),
            (Error::ChatTemplate { path: path(), reason: "because".into() }, ErrorKind::BadInput),
            (Error::PlaceholderInText { role: Role::User }, ErrorKind::BadInput),
            (Error::InvalidSetting { name: "a", value: "1".into(), expected: "2" }, ErrorKind::BadInput),
            (Error::NonFiniteLogit { index: 0, value: f32::NAN }, ErrorKind::BadInput),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
