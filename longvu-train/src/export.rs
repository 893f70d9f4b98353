//! The trained model as a Hugging Face folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use longvu::{ModelFiles, TEXT_FILES};
use longvu_checkpoint::{Repo, atomic::FolderDraft};
use longvu_core::Dtype;
use serde_json::json;

use crate::{Error, Parameters, Result};

/// Trained parts of a model.
pub(crate) struct Trained {
    pub siglip: Parameters,
    pub dinov2: Parameters,
    pub language: Parameters,
}

/// Writes the folder `out`, which appears once it is complete.
///
/// # Errors
/// Files that cannot be read or written.
pub(crate) fn export(trained: &Trained, files: &ModelFiles, tokenizer: &Path, dtype: Dtype, out: &Path) -> Result<()> {
    let draft = FolderDraft::replacing(out).map_err(Error::write(out))?;
    let model = draft.path();
    let parts: [(PathBuf, &Repo, &[&str], &Parameters); 3] = [
        (model.to_owned(), &files.repo, &["config.json"], &trained.language),
        (model.join("siglip"), &files.siglip.repo, &TOWER_FILES, &trained.siglip),
        (model.join("dinov2"), &files.dinov2.repo, &TOWER_FILES, &trained.dinov2),
    ];
    for (folder, repo, names, parameters) in parts {
        fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
        for name in names {
            if let Some(from) = repo.try_get(name)? {
                copy(&from, &folder.join(name))?;
            }
        }
        // SigLIP's two scalars and its text half served the training alone.
        let published =
            |name: &str| (!name.starts_with("text_model.") && !name.starts_with("logit_")).then(|| name.to_owned());
        parameters.export(&folder.join("model.safetensors"), dtype, published)?;
    }
    for name in TEXT_FILES {
        let from = tokenizer.join(name);
        if from.is_file() {
            copy(&from, &model.join(name))?;
        }
    }
    write_generation_config(model, tokenizer)?;
    draft.commit().map_err(Error::write(out))
}

const TOWER_FILES: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// Greedy decoding up to the end of a turn, unless the tokenizer's folder says otherwise.
fn write_generation_config(folder: &Path, tokenizer: &Path) -> Result<()> {
    let path = folder.join("generation_config.json");
    if path.exists() {
        return Ok(());
    }
    let ends = longvu_llm::Tokenizer::from_dir(tokenizer)?.end_of_turn_ids();
    let config = json!({ "do_sample": false, "eos_token_id": ends });
    fs::write(&path, format!("{config:#}\n")).map_err(Error::write(&path))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(Error::write(to))
}
