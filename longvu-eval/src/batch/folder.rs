//! The folder of a batch: parts of one list, divided once.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Error, Result, RunFolder, Shard,
    spec::{Spec, difference},
};

/// Where parts are kept while they are worked at. Readers of Parquet folders pass over what begins with `_`.
pub(super) const JOURNALS: &str = "_longvu";

/// What a part is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct BatchSpec {
    pub longvu: String,
    pub schema: u32,
    pub model: Value,
    pub video: Value,
    pub generation: Value,
    pub system: Option<String>,
    /// SHA-256 of the whole list: names, paths as they are written, questions.
    pub list_sha256: String,
    pub shard: Shard,
}

impl Spec for BatchSpec {}

impl BatchSpec {
    /// The same but for the part.
    fn whole(&self) -> Self {
        Self { shard: Shard::WHOLE, ..self.clone() }
    }
}

/// Refuses a folder with parts of another division, list or settings: who reads all its files would read rows twice, or
/// rows that do not belong together.
///
/// Of the settings it asks any one part: that one has asked another.
///
/// # Errors
/// Such a folder, and one that cannot be read.
pub(super) fn is_of(out: &Path, name: &str, spec: &BatchSpec) -> Result<()> {
    let journals = out.join(JOURNALS);
    let of = name.rsplit_once("-of-").map_or("", |(_, of)| of);
    let bad = |path: &Path, reason: String| Error::BadRun { path: path.to_owned(), reason };
    for other in names(out)?.chain(names(&journals)?) {
        let Some((_, theirs)) = other.strip_prefix("part-").and_then(|part| part.split_once("-of-")) else { continue };
        if theirs.trim_end_matches(".parquet") != of {
            let advice = "name another folder, or divide as there";
            return Err(bad(out, format!("holds `{other}`, a part of another division than of {of}; {advice}")));
        }
    }
    for other in names(&journals)?.filter(|other| other.starts_with("part-") && other != name) {
        let folder = RunFolder::new(journals.join(other));
        // Another process may be about to write it.
        if !folder.has_spec() {
            continue;
        }
        let theirs: BatchSpec = folder.spec()?;
        if let Some(difference) = difference(&spec.whole(), &theirs.whole()) {
            let advice = "name another folder, or ask as the part there does";
            let reason = format!("is of another list, or of other settings: {difference}; {advice}");
            return Err(bad(folder.path(), reason));
        }
        break;
    }
    Ok(())
}

/// Names of what is in a folder, if there is one.
fn names(folder: &Path) -> Result<impl Iterator<Item = String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries.map_err(Error::read(folder))?),
    };
    Ok(entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()))
}
