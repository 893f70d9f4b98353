//! A checkpoint's weights: one file or the shards that an index lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;
use longvu_core::Dtype;
use serde::Deserialize;

use crate::{
    Error, Limits, Mapping, Repo, Result, TensorSource,
    config::read_json_within,
    files,
    formats::{names, pickle::PickleFile, safetensors::SafetensorsFile},
};

/// Names that Hugging Face gives to weights, in the order in which its own library looks for them.
const LAYOUTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

enum Shard {
    Safetensors(SafetensorsFile),
    Pickle(PickleFile),
}

impl Shard {
    fn open(path: &Path, limits: &Limits, mapping: Mapping) -> Result<Self> {
        if let Some(reason) = stand_in(path)? {
            return Err(Error::BadWeights { path: path.to_owned(), reason: reason.into() });
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors(SafetensorsFile::open(path, limits, mapping)?)),
            _ => Ok(Self::Pickle(PickleFile::open(path, limits)?)),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.names().map(str::to_owned).collect(),
            Self::Pickle(file) => file.names().map(str::to_owned).collect(),
        }
    }

    /// Name of the stored element type.
    fn dtype_name(&self, name: &str) -> Option<String> {
        match self {
            Self::Safetensors(file) => file.dtype_name(name),
            Self::Pickle(file) => file.dtype_name(name),
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Safetensors(file) => file.shape(name),
            Self::Pickle(file) => file.shape(name),
        }
    }
}

/// What lies in the place of weights when a download went wrong, if that is what the file at `path` is.
fn stand_in(path: &Path) -> Result<Option<&'static str>> {
    let start = files::read_start(path, 64).map_err(Error::read(path))?;
    Ok(match start.as_slice() {
        [] => Some("it is empty; download it again"),
        start if start.starts_with(b"version https://git-lfs") => {
            Some("it is a Git LFS pointer that stands for the weights; run `git lfs pull` in its folder")
        }
        start
            if [&b"<!doctype"[..], b"<html", b"<?xml"]
                .iter()
                .any(|tag| start.to_ascii_lowercase().starts_with(tag)) =>
        {
            Some("it is a web page; download the file itself")
        }
        _ => None,
    })
}

/// The open weights of a model folder.
///
/// Opening reads headers only; tensors are read one at a time, when asked for. Tensors have the names that the model gives
/// them: the dictionary that a training program saved its model in, and wrappers around a model (`module.`, `_orig_mod.`), are
/// taken off where all tensors are inside them.
pub struct Checkpoint {
    origin: String,
    files: Vec<PathBuf>,
    shards: Vec<Shard>,
    place: HashMap<String, Place>,
}

/// Where a tensor is.
struct Place {
    shard: usize,
    /// Its name there.
    stored: String,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the weights of `repo`: `model.safetensors`, else the shards of `model.safetensors.index.json`, else the
    /// same of `pytorch_model.bin`. A single file comes before shards, as in Hugging Face's library.
    ///
    /// # Errors
    /// No weights file, a shard that the index lists and the folder lacks, a damaged file, or a download that failed.
    pub fn open(repo: &Repo) -> Result<Self> {
        for name in LAYOUTS {
            let Some(path) = repo.try_get(name)? else { continue };
            return match name.ends_with(".json") {
                true => Self::open_index(repo, &path),
                false => Self::open_files_with(repo.describe(), vec![path], repo.limits(), repo.mapping()),
            };
        }
        let hint = format!("no weights are there, neither {} nor {}", LAYOUTS[..3].join(", "), LAYOUTS[3]);
        Err(repo.absent(LAYOUTS[0], hint))
    }

    fn open_index(repo: &Repo, path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Config { path: path.to_owned(), reason };
        let index: Index = read_json_within(path, repo.limits().json_bytes)?;
        let mut names: Vec<_> = index.weight_map.values().collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(bad("`weight_map` lists no tensors; download the file again".into()));
        }
        let mut files = Vec::new();
        for name in &names {
            // An index is data from elsewhere: only plain file names of the same folder are followed.
            if name.contains(['/', '\\', ':']) || name.starts_with('.') || name.is_empty() {
                let reason = format!("`weight_map` points to `{name}`, which is no name of a file beside it");
                return Err(bad(reason));
            }
            files.push(repo.try_get(name)?.ok_or_else(|| {
                let hint = format!("{} lists this shard, and without it the model is incomplete", path.display());
                repo.absent(name, hint)
            })?);
        }
        let shards = open_all(&files, repo.limits(), repo.mapping())?;
        // Where a tensor lies in several shards, the index says which one counts.
        let mut stored = HashMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in shard.names() {
                let chosen = index.weight_map.get(&name).is_some_and(|file| file == names[i]);
                if chosen || !stored.contains_key(&name) {
                    stored.insert(name, i);
                }
            }
        }
        Self::assemble(repo.describe(), files, shards, stored)
    }

    /// Opens the given files as one checkpoint, called `origin` in messages.
    ///
    /// # Errors
    /// A damaged or unreadable file, or a tensor that two files have.
    pub fn open_files(origin: String, files: Vec<PathBuf>) -> Result<Self> {
        Self::open_files_with(origin, files, &Limits::default(), Mapping::default())
    }

    /// The same, with limits and a way of reading of the caller's.
    ///
    /// # Errors
    /// As [`Checkpoint::open_files`].
    pub fn open_files_with(origin: String, files: Vec<PathBuf>, limits: &Limits, mapping: Mapping) -> Result<Self> {
        let shards = open_all(&files, limits, mapping)?;
        let mut stored = HashMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in shard.names() {
                if let Some(first) = stored.insert(name.clone(), i) {
                    let reason =
                        format!("{name} is in {} too; give files that share no tensor", files[first].display());
                    return Err(Error::BadWeights { path: files[i].clone(), reason });
                }
            }
        }
        Self::assemble(origin, files, shards, stored)
    }

    /// Names the tensors of `stored`, each with its shard, as the model does.
    fn assemble(
        origin: String,
        files: Vec<PathBuf>,
        shards: Vec<Shard>,
        stored: HashMap<String, usize>,
    ) -> Result<Self> {
        let bad = |reason: String| Error::BadWeights { path: origin.clone().into(), reason };
        let (names, wrapper) = names::unwrap(stored.keys().cloned().collect()).map_err(bad)?;
        if !wrapper.is_empty() {
            let left = stored.len() - names.len();
            tracing::info!(origin, wrapper, left, "tensors are read from inside a wrapper; others are left");
        }
        let mut place = HashMap::with_capacity(names.len());
        for (stored, shard) in stored {
            if let Some(name) = names.get(&stored) {
                place.insert(name.clone(), Place { shard, stored });
            }
        }
        Ok(Self { origin, files, shards, place })
    }

    /// The shard of tensor `name`, and its name there.
    fn find(&self, name: &str) -> Option<(&Shard, &str)> {
        self.place.get(name).map(|place| (&self.shards[place.shard], place.stored.as_str()))
    }

    /// Whether there are pickles among the files, whose tensors come into memory whole before they are converted.
    pub fn has_pickles(&self) -> bool {
        self.shards.iter().any(|shard| matches!(shard, Shard::Pickle(_)))
    }

    /// The files, in the order they were opened.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Tensor `name` in `dtype`, or as it is stored.
    fn read_from_shard(&self, name: &str, dtype: Option<Dtype>) -> Result<TensorData> {
        match self.find(name) {
            Some((Shard::Safetensors(file), stored)) => file.read(stored, dtype),
            Some((Shard::Pickle(file), stored)) => file.read(stored, dtype),
            None => Err(Error::BadWeights {
                path: self.origin.clone().into(),
                reason: format!("no tensor is called {name}"),
            }),
        }
    }

    /// Hands `take` what tells the tensors `names` from others without reading them whole: for each its name, stored
    /// dtype, shape and some of its bytes, in the order of `names`. Of a pickled file it takes the archive's directory
    /// in the bytes' place, which has a checksum of every tensor, those of other names included.
    ///
    /// How files are cut into shards does not matter; the format and the stored dtype do.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sample<'a>(&self, names: impl IntoIterator<Item = &'a str>, mut take: impl FnMut(&[u8])) -> Result<()> {
        let mut pickles = BTreeSet::new();
        for name in names {
            let Some(Place { shard: i, stored }) = self.place.get(name) else { continue };
            let shard = &self.shards[*i];
            take(format!("{name} {:?} {:?};", shard.dtype_name(stored), shard.shape(stored)).as_bytes());
            match shard {
                Shard::Safetensors(file) => take(&file.sample(stored)?),
                Shard::Pickle(_) => _ = pickles.insert(*i),
            }
        }
        for i in pickles {
            if let Shard::Pickle(file) = &self.shards[i] {
                take(&file.directory().map_err(Error::read(&self.files[i]))?);
            }
        }
        Ok(())
    }

    /// Name and element count of each stored element type.
    pub fn stored_dtypes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for Place { shard, stored } in self.place.values() {
            let dtype = self.shards[*shard].dtype_name(stored);
            let elements =
                self.shards[*shard].shape(stored).map_or(0, |s| s.iter().copied().fold(1, usize::saturating_mul));
            let count = counts.entry(dtype.unwrap_or_default()).or_insert(0_usize);
            *count = count.saturating_add(elements);
        }
        counts
    }
}

fn open_all(files: &[PathBuf], limits: &Limits, mapping: Mapping) -> Result<Vec<Shard>> {
    files.iter().map(|path| Shard::open(path, limits, mapping)).collect()
}

impl TensorSource for Checkpoint {
    fn describe(&self) -> String {
        self.origin.clone()
    }

    fn names(&self) -> Vec<String> {
        self.place.keys().cloned().collect()
    }

    fn shape(&self, name: &str, _wanted: &[usize]) -> Option<Vec<usize>> {
        let (shard, stored) = self.find(name)?;
        shard.shape(stored).map(<[usize]>::to_vec)
    }

    fn read(&self, name: &str, _shape: &[usize], dtype: Dtype) -> Result<TensorData> {
        self.read_from_shard(name, Some(dtype))
    }

    fn read_as_stored(&self, name: &str, _shape: &[usize]) -> Result<TensorData> {
        self.read_from_shard(name, None)
    }
}
