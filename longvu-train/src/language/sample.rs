//! What the language stage trains on, wherever it comes from.

use longvu::{Frame, VisualKind};

use crate::Result;

/// One video or image, or none, with questions and their answers.
#[derive(Debug, Clone, PartialEq)]
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
