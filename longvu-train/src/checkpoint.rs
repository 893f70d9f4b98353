//! Checkpoints of a run: complete or absent, whenever the run is killed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use longvu_checkpoint::atomic::FolderDraft;
use serde::{Deserialize, Serialize};

use crate::{Error, Parameters, Result};

/// A stage's state on disk.
pub(crate) struct Saved {
    pub step: usize,
    settings: String,
    /// Folder with the values and moments.
    pub weights: PathBuf,
}

impl Saved {
    /// Checks that the run goes on with the settings it began with: resumption would not be exact with others.
    pub fn check(&self, settings: &str, folder: &Path) -> Result<()> {
        if self.settings == settings {
            return Ok(());
        }
        Err(Error::ForeignCheckpoint {
            path: folder.display().to_string(),
            reason: format!(
                "it was trained with the settings {}, not {settings}; give those again, or another folder",
                self.settings
            ),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct State {
    step: usize,
    settings: String,
}

/// The newest checkpoint of a stage, if there is one.
pub(crate) fn load_state(folder: &Path, stage: &str) -> Result<Option<Saved>> {
    let base = folder.join("checkpoints").join(stage);
    let Some((_, weights)) = steps(&base)?.pop() else { return Ok(None) };
    let path = weights.join("state.json");
    let text = fs::read_to_string(&path).map_err(Error::read(&path))?;
    let State { step, settings } = serde_json::from_str(&text).map_err(|error| Error::ForeignCheckpoint {
        path: path.display().to_string(),
        reason: format!("{error}; remove the folder to go on from the one before"),
    })?;
    Ok(Some(Saved { step, settings, weights }))
}

/// Checkpoint folders under `base` with their steps, ascending. Half-written ones have names of another form.
fn steps(base: &Path) -> Result<Vec<(usize, PathBuf)>> {
    if !base.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(base).map_err(Error::read(base))? {
        let path = entry.map_err(Error::read(base))?.path();
        let step = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("step-"));
        if let Some(step) = step.and_then(|step| step.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a checkpoint beside the last one, which goes once the new one is complete.
pub(crate) fn save_state(
    folder: &Path,
    stage: &str,
    step: usize,
    settings: &str,
    parameters: &Parameters,
) -> Result<()> {
    let base = folder.join("checkpoints").join(stage);
    let complete = base.join(format!("step-{step}"));
    if complete.exists() {
        return Ok(());
    }
    fs::create_dir_all(&base).map_err(Error::write(&base))?;
    let draft = FolderDraft::new(&complete).map_err(Error::write(&complete))?;
    parameters.save(&draft.path().join("model.safetensors"))?;
    let state = serde_json::to_string(&State { step, settings: settings.to_owned() }).unwrap_or_default();
    let path = draft.path().join("state.json");
    fs::write(&path, state).map_err(Error::write(&path))?;
    draft.commit().map_err(Error::write(&complete))?;
    for (old, path) in steps(&base)? {
        if old < step {
            fs::remove_dir_all(&path).map_err(Error::write(&path))?;
        }
    }
    Ok(())
}
