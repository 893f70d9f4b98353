//! Scores of frames against a question, which somebody else worked out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use longvu::{
    burn::tensor::Tensor,
    checkpoint::files::read_limited,
    compress::{FrameScorer, StageError},
};

/// Bytes of a file of scores that are read: a million of them.
const LIMIT: u64 = 1 << 25;

/// Scores of a file, one a sampled or one a kept frame.
pub struct Scores {
    path: PathBuf,
    values: Vec<f32>,
}

impl Scores {
    /// Reads a JSON list of numbers.
    ///
    /// # Errors
    /// A file that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_limited(path, LIMIT).with_context(|| format!("{} cannot be read", path.display()))?;
        let shape = || format!("{} is no list of scores; write JSON such as [0.5, 1.25]", path.display());
        let values: Vec<f32> = serde_json::from_slice(&bytes).with_context(shape)?;
        if let Some(frame) = values.iter().position(|score| !score.is_finite()) {
            bail!("{}: score {frame} is too large for a number; scale the scores", path.display());
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// The scores of the `kept` of `sampled` frames.
    ///
    /// # Errors
    /// As many as neither.
    pub fn of(&self, kept: &[usize], sampled: usize) -> Result<Vec<f32>> {
        match self.values.len() {
            count if count == sampled => Ok(kept.iter().map(|&frame| self.values[frame]).collect()),
            count if count == kept.len() => Ok(self.values.clone()),
            count => bail!(
                "{} has {count} scores for {sampled} sampled frames, of which {} are kept; give each of them one",
                self.path.display(),
                kept.len()
            ),
        }
    }
}

/// Says these scores of any frames.
pub struct Given(pub Vec<f32>);

impl FrameScorer for Given {
    fn score(&self, _: Tensor<3>, _: Tensor<2>) -> Result<Vec<f32>, StageError> {
        Ok(self.0.clone())
    }
}
