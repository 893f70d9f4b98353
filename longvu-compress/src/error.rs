//! What can go wrong in a stage.

use std::fmt;

use longvu_core::ErrorKind;

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stage's own failure: whatever error it returns with `?`.
pub type StageError = Box<dyn std::error::Error + Send + Sync>;

/// Why tokens could not be compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The watcher said to stop.
    #[error(transparent)]
    Cancelled(#[from] longvu_core::Cancelled),

    /// A stage failed by itself.
    #[error("the {stage} stage failed")]
    Stage {
        /// Which.
        stage: StageName,
        /// Its own error.
        source: StageError,
    },

    /// A stage returned what does not fit what it was given.
    #[error("the {stage} stage returned {reason}")]
    BadStage {
        /// Which.
        stage: StageName,
        /// What it returned, and what it should.
        reason: String,
    },

    /// A [`FrameTokens`](crate::FrameTokens) whose tensors do not have the sizes that it told.
    #[error(
        "frames gave tokens of the shape {found:?}, and {expected:?} were asked for: frames, tokens of each, and \
         channels must be what `FrameTokens` tells"
    )]
    BadTokens {
        /// Shape of the tokens.
        found: [usize; 3],
        /// Shape that they should have.
        expected: [usize; 3],
    },

    /// Attention that does not belong to the tokens it came with.
    #[error(
        "attention of the shape {found:?} came with tokens of the shape {expected:?}, frames and tokens of each; give each \
         token one number, newlines too"
    )]
    BadAttention {
        /// Shape of the attention.
        found: [usize; 2],
        /// Shape that it should have.
        expected: [usize; 2],
    },
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled(_) => ErrorKind::Cancelled,
            // Whoever wrote the stage can do something, and nobody who asks.
            Self::Stage { .. } | Self::BadStage { .. } | Self::BadTokens { .. } | Self::BadAttention { .. } => {
                ErrorKind::Internal
            }
        }
    }
}

/// One of the three reductions, or what goes on in the language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageName {
    /// A [`FrameSelector`](crate::FrameSelector).
    Temporal,
    /// A [`FrameScorer`](crate::FrameScorer).
    QueryGuided,
    /// A [`TokenPruner`](crate::TokenPruner).
    Spatial,
    /// Visual tokens that leave the language model after some layers: [`FastV`](crate::FastV).
    Decoder,
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temporal => "temporal",
            Self::QueryGuided => "query-guided",
            Self::Spatial => "spatial",
            Self::Decoder => "decoder",
        })
    }
}
