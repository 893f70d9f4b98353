//! What the language stage trains on, wherever it comes from.

use longvu::{Frame, VisualKind};

use crate::Result;

/// One video or image, or none, with questions and their answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// Whether the frames are a video's; `None` when there are none.
    pub kind: Option<VisualKind>,
    /// The sampled frames, in time order; at least one where there is a kind.
    pub frames: Vec<Frame>,
    /// The system prompt, where it is not the default one.
    pub system: Option<String>,
    /// Questions and answers; at least one.
    pub turns: Vec<(String, String)>,
    /// Tokens that the frames may take, where that is fewer than the model's window leaves.
    pub visual_tokens: Option<usize>,
    /// Whether each turn sees the ones before it. Otherwise every question is asked as if it were the only one.
    pub is_dialogue: bool,
}

impl Sample {
    /// Questions and answers without anything to look at, each asked alone.
    pub fn new(turns: Vec<(String, String)>) -> Self {
        Self { kind: None, frames: Vec::new(), system: None, turns, visual_tokens: None, is_dialogue: false }
    }

    /// Shows the frames of a video or image, one or more.
    #[must_use]
    pub fn with_frames(mut self, kind: VisualKind, frames: Vec<Frame>) -> Self {
        (self.kind, self.frames) = (Some(kind), frames);
        self
    }

    /// Sets [`system`](Self::system).
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// Sets [`visual_tokens`](Self::visual_tokens).
    #[must_use]
    pub fn with_visual_tokens(mut self, visual_tokens: impl Into<Option<usize>>) -> Self {
        self.visual_tokens = visual_tokens.into();
        self
    }

    /// Sets [`is_dialogue`](Self::is_dialogue).
    #[must_use]
    pub fn with_dialogue(mut self, is_dialogue: bool) -> Self {
        self.is_dialogue = is_dialogue;
        self
    }
}

/// An endless source of samples, each a function of its index.
pub trait SampleSource: Sync + Send {
    /// Sample `index`.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn sample(&self, index: u64) -> Result<Sample>;

    /// How many there are before they come again, if they do.
    fn count(&self) -> Option<u64> {
        None
    }

    /// What samples come from, and with which settings: a run is resumed only from the same.
    fn description(&self) -> String;
}
