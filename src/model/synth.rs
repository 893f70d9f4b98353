//! Writing complete model folders of any size whose weights follow the synthetic rule.

use std::{fs, path::Path};

use longvu_checkpoint::{
    Repo, RepoOptions, SafetensorsWriter, TensorRole, TensorSpec,
    atomic::FolderDraft,
    config::{LanguageModel, PreprocessorConfig},
    synthetic_range,
};
use longvu_core::{Dtype, Step, Watch, WatchedStep};
use serde_json::json;
use web_time::Instant;

use crate::{
    Error, Result, checkpoint,
    llm::synthetic_tokenizer,
    model::{files::ModelFiles, inspect::part_specs},
};

/// Values that are made at a time: enough for all threads, and nothing beside a model.
const BLOCK: usize = 1 << 24;

/// Writes a LongVU model and both its towers, of the sizes in `config_dir`, to the new folder `out`.
///
/// `config_dir` holds LongVU's `config.json`, and the towers' in its subfolders `siglip` and `dinov2` (or wherever a
/// model's towers are found). `out` gets the same layout with weights stored as `dtype` and a byte-level tokenizer.
/// A part of one tensor is in memory at a time. The folder appears when it is complete; a failed run leaves nothing
/// behind, and what a killed one leaves, under a hidden name, goes with the next run beside it. Returns the bytes of all
/// tensors.
///
/// # Errors
/// Incomplete or inconsistent configurations, an `out` that exists, a vocabulary too small for a tokenizer, a disk
/// that is full or has less space than the weights take, and a `watch` that says to stop: it is asked after each tensor.
pub fn synthesize(config_dir: &Path, out: &Path, dtype: Dtype, watch: &Watch) -> Result<u64> {
    let files = ModelFiles::find(config_dir, None, &RepoOptions::default())?;
    let failed = |source| checkpoint::Error::Write { path: out.to_owned(), source };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
    let draft = FolderDraft::new(out).map_err(failed)?;
    let bytes = write_all(&files, draft.path(), dtype, watch)?;
    draft.commit().map_err(failed)?;
    Ok(bytes)
}

fn write_all(files: &ModelFiles, out: &Path, dtype: Dtype, watch: &Watch) -> Result<u64> {
    let specs = part_specs(files);
    let model: Vec<TensorSpec> = [specs.decoder, specs.connector].concat();
    let parts = [
        ("", &files.repo, model),
        ("siglip/", &files.siglip.repo, specs.siglip),
        ("dinov2/", &files.dinov2.repo, specs.dinov2),
    ];
    let bytes = |specs: &[TensorSpec]| {
        let sizes = specs.iter().filter(|s| published(s)).map(|s| s.num_elements().saturating_mul(dtype.size()) as u64);
        sizes.fold(0, u64::saturating_add)
    };
    let total = parts.iter().map(|(_, _, specs)| bytes(specs)).fold(0, u64::saturating_add);
    check_space(out, total)?;
    let (mut done, start) = (0, Instant::now());
    for (part, repo, specs) in &parts {
        let (folder, item) = (out.join(part), format!("{part}model.safetensors"));
        fs::create_dir_all(&folder).map_err(checkpoint::Error::write(&folder))?;
        copy(repo, "config.json", &folder)?;
        let writing = watch.step_since(start, Step::Write, &item, Some(total));
        write_weights(&out.join(&item), specs, dtype, &mut done, &writing)?;
    }
    write_preprocessor(&out.join("siglip"), &files.siglip_pixels)?;
    write_preprocessor(&out.join("dinov2"), &files.dinov2_pixels)?;
    write_tokenizer(files, out)?;
    Ok(total)
}

/// Checks that `total` bytes fit on the disk that `out` will be on.
fn check_space(out: &Path, total: u64) -> Result<()> {
    let exists = std::path::absolute(out).ok();
    let exists = exists.as_deref().and_then(|out| out.ancestors().find(|folder| folder.is_dir()));
    match exists.and_then(checkpoint::files::free_space) {
        Some(free) if total > free => {
            let reason = format!("the weights take {total} bytes, and the disk has {free} free");
            let source = std::io::Error::new(std::io::ErrorKind::StorageFull, reason);
            Err(checkpoint::Error::Write { path: out.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}

/// Whether a published file of this layout has the tensor.
fn published(spec: &TensorSpec) -> bool {
    matches!(spec.role, TensorRole::Parameter | TensorRole::Unused)
}

fn copy(repo: &Repo, name: &str, folder: &Path) -> Result<()> {
    let from = repo.get(name)?;
    let to = folder.join(name);
    fs::copy(from, &to).map_err(checkpoint::Error::write(&to))?;
    Ok(())
}

/// Writes one file; `done` counts the bytes of tensors of all files.
fn write_weights(
    file: &Path,
    specs: &[TensorSpec],
    dtype: Dtype,
    done: &mut u64,
    writing: &WatchedStep<'_>,
) -> Result<()> {
    let specs: Vec<TensorSpec> = specs.iter().filter(|s| published(s)).cloned().collect();
    let mut writer = SafetensorsWriter::create(file, &specs, dtype)?;
    for spec in &specs {
        let blocks = (0..spec.num_elements()).step_by(BLOCK).map(|start| start..spec.num_elements().min(start + BLOCK));
        writer.write_blocks(blocks.map(|range| synthetic_range(&spec.name, &spec.shape, range)))?;
        *done += (spec.num_elements() * dtype.size()) as u64;
        writing.done(*done)?;
    }
    Ok(writer.finish()?)
}

fn write_preprocessor(folder: &Path, config: &PreprocessorConfig) -> Result<()> {
    let json = json!({
        "do_normalize": true, "do_rescale": true, "do_resize": true, "resample": 3,
        "image_mean": config.image_mean, "image_std": config.image_std,
        "size": { "height": config.size, "width": config.size },
    });
    write(&folder.join("preprocessor_config.json"), &json)
}

fn write_tokenizer(files: &ModelFiles, out: &Path) -> Result<()> {
    let config = &files.config;
    let llama = config.language_model() == LanguageModel::Llama;
    let end_of_turn = config.decoder.eos_token_id.as_ref().and_then(|ids| ids.as_slice().last().copied());
    let tokenizer =
        synthetic_tokenizer(llama, config.decoder.vocab_size, end_of_turn).ok_or_else(|| Error::Setting {
            name: "vocab_size",
            value: config.decoder.vocab_size.to_string(),
            expected: "a byte-level tokenizer with its special tokens needs 261 or more",
        })?;
    write(&out.join("tokenizer.json"), &tokenizer)
}

fn write(path: &Path, json: &serde_json::Value) -> Result<()> {
    Ok(fs::write(path, format!("{json:#}\n")).map_err(checkpoint::Error::write(path))?)
}
