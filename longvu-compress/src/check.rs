//! Whether what a stage returned fits what it was given: the drivers of all three ask here before they use it.

use crate::{Error, Result, StageName};

/// What `stage` returned of a batch of frames.
#[derive(Clone, Copy)]
pub(crate) struct Returned {
    stage: StageName,
    /// Frames that the stage was given.
    frames: usize,
}

impl Returned {
    pub fn new(stage: StageName, frames: usize) -> Self {
        Self { stage, frames }
    }

    /// One score a frame, each a number.
    pub fn scores(self, scores: &[f32]) -> Result<()> {
        if scores.len() != self.frames {
            return self.bad(format!("{} scores for {} frames; give each frame one", scores.len(), self.frames));
        }
        match scores.iter().position(|score| score.is_nan()) {
            Some(frame) => self.bad(format!(
                "a score of NaN for the frame at position {frame}; see whether its features are numbers, and compute in \
                 f32"
            )),
            None => Ok(()),
        }
    }

    /// One list of kept tokens a frame, each of positions among `tokens`.
    pub fn kept_tokens(self, kept: &[Vec<usize>], tokens: usize) -> Result<()> {
        if kept.len() != self.frames {
            return self.bad(format!(
                "lists of kept tokens for {} frames, and was given {}; give each frame one, if only an empty one",
                kept.len(),
                self.frames
            ));
        }
        kept.iter().try_for_each(|kept| self.positions(kept, tokens, "tokens"))
    }

    /// Merged tokens of the shape `expected`.
    pub fn merged_tokens(self, found: [usize; 2], expected: [usize; 2]) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        self.bad(format!("merged tokens of the shape {found:?} in place of {expected:?}; give each kept position one"))
    }

    /// Kept frames.
    pub fn kept_frames(self, kept: &[usize]) -> Result<()> {
        self.positions(kept, self.frames, "frames")
    }

    /// Frames picked, no more than `most` of them.
    pub fn picked_frames(self, picked: &[usize], most: usize) -> Result<()> {
        if picked.len() > most {
            return self.bad(format!("{} picked frames where {most} fit; pick no more", picked.len()));
        }
        self.positions(picked, self.frames, "frames")
    }

    /// Positions among `count` things: ascending, each once.
    fn positions(self, kept: &[usize], count: usize, things: &str) -> Result<()> {
        if let Some(pair) = kept.windows(2).find(|pair| pair[0] >= pair[1]) {
            let [before, after] = [pair[0], pair[1]];
            return self.bad(format!("kept {things} {before}, {after}; give each position once, in ascending order"));
        }
        match kept.last() {
            Some(&last) if last >= count => {
                self.bad(format!("a kept position of {last} among {count} {things}; positions count from 0"))
            }
            _ => Ok(()),
        }
    }

    fn bad(self, reason: String) -> Result<()> {
        Err(Error::BadStage { stage: self.stage, reason })
    }
}

/// The number of frames that a stage looks at together.
///
/// # Errors
/// None of them.
pub(crate) fn frames_at_once(stage: StageName, frames: usize) -> Result<usize> {
    match frames {
        0 => Err(Error::BadStage {
            stage,
            reason: "0 as the number of frames it looks at together; use 1 or more".into(),
        }),
        frames => Ok(frames),
    }
}
