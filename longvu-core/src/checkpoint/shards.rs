//! A checkpoint's weights: one file or the shards that an index lists.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;
use serde::Deserialize;

use super::{Repo, TensorSource, pickle::PickleFile, safetensors::SafetensorsFile};
use crate::{Dtype, Error, Result, config::read_json};

/// Names that Hugging Face gives to weights, in the order they are preferred: index first, then a single file.
const LAYOUTS: [(&str, &str); 2] =
    [("model.safetensors.index.json", "model.safetensors"), ("pytorch_model.bin.index.json", "pytorch_model.bin")];

enum Shard {
    Safetensors(SafetensorsFile),
    Pickle(PickleFile),
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors(SafetensorsFile::open(path)?)),
            _ => Ok(Self::Pickle(PickleFile::open(path)?)),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.names().map(str::to_owned).collect(),
            Self::Pickle(file) => file.names().map(str::to_owned).collect(),
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Safetensors(file) => file.shape(name),
            Self::Pickle(file) => file.shape(name),
        }
    }
}

/// The open weights of a model folder.
///
/// Opening reads headers only; tensors are read one at a time, when asked for.
pub struct Checkpoint {
    origin: String,
    files: Vec<PathBuf>,
    shards: Vec<Shard>,
    place: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the weights of `repo`.
    ///
    /// # Errors
    /// No weights file, a shard that the index lists and the folder lacks, a damaged file, or a download that failed.
    pub fn open(repo: &Repo) -> Result<Self> {
        for (index, single) in LAYOUTS {
            if let Some(path) = repo.try_get(index)? {
                return Self::open_index(repo, &path);
            }
            if let Some(path) = repo.try_get(single)? {
                return Self::open_files(repo.describe(), vec![path]);
            }
        }
        Err(Error::NotFound {
            path: repo.local_path("model.safetensors"),
            hint:
                "the folder has no weights: model.safetensors, pytorch_model.bin or shards with an index are expected"
                    .into(),
        })
    }

    fn open_index(repo: &Repo, path: &Path) -> Result<Self> {
        let index: Index = read_json(path)?;
        let mut names: Vec<_> = index.weight_map.values().cloned().collect();
        names.sort();
        names.dedup();
        let mut files = Vec::new();
        for name in &names {
            // An index is data from elsewhere: only plain file names of the same folder are followed.
            if name.contains(['/', '\\']) || name.starts_with('.') {
                return Err(Error::Config { path: path.to_owned(), reason: format!("`{name}` is no file name") });
            }
            files.push(repo.try_get(name)?.ok_or_else(|| Error::NotFound {
                path: repo.local_path(name),
                hint: format!("{} lists this shard; download it, the model is incomplete without", path.display()),
            })?);
        }
        Self::open_files(repo.describe(), files)
    }

    /// Opens the given files as one checkpoint.
    ///
    /// # Errors
    /// A damaged or unreadable file.
    pub fn open_files(origin: String, files: Vec<PathBuf>) -> Result<Self> {
        let shards = files.iter().map(|path| Shard::open(path)).collect::<Result<Vec<_>>>()?;
        let mut place = HashMap::new();
        for (i, shard) in shards.iter().enumerate() {
            place.extend(shard.names().into_iter().map(|name| (name, i)));
        }
        Ok(Self { origin, files, shards, place })
    }

    /// The files, in the order they were opened.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Name and element count of each stored element type.
    pub fn stored_dtypes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (name, &i) in &self.place {
            let dtype = match &self.shards[i] {
                Shard::Safetensors(file) => file.dtype_name(name),
                Shard::Pickle(file) => file.dtype_name(name),
            };
            let elements = self.shards[i].shape(name).map_or(0, |s| s.iter().product::<usize>());
            *counts.entry(dtype.unwrap_or_default()).or_insert(0) += elements;
        }
        counts
    }
}

impl TensorSource for Checkpoint {
    fn describe(&self) -> String {
        self.origin.clone()
    }

    fn names(&self) -> Vec<String> {
        self.place.keys().cloned().collect()
    }

    fn shape(&self, name: &str, _wanted: &[usize]) -> Option<Vec<usize>> {
        self.shards[*self.place.get(name)?].shape(name).map(<[usize]>::to_vec)
    }

    fn read(&self, name: &str, _shape: &[usize], dtype: Dtype) -> Result<TensorData> {
        let shard = self.place.get(name).map(|&i| &self.shards[i]);
        match shard {
            Some(Shard::Safetensors(file)) => file.read(name, dtype),
            Some(Shard::Pickle(file)) => file.read(name, dtype),
            None => Err(Error::BadWeights {
                path: self.origin.clone().into(),
                reason: format!("no tensor is called {name}"),
            }),
        }
    }
}
