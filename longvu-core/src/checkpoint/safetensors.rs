//! Safetensors files, memory-mapped: a tensor's bytes are touched when it is read.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, TensorData};
use safetensors::{Dtype as FileDtype, SafeTensors};

use super::{
    convert::{Stored, fits_in_place, in_place, tensor_data},
    mapped::MappedFile,
};
use crate::{Dtype, Error, Result};

/// Bytes that tell a tensor from another of the same shape: they lie on one or two pages.
const SAMPLE: usize = 256;

/// A mapped file and where each tensor lies in it.
pub struct SafetensorsFile {
    path: PathBuf,
    file: MappedFile,
    entries: HashMap<String, Entry>,
}

struct Entry {
    dtype: FileDtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl SafetensorsFile {
    /// Maps the file and parses its header, which states every tensor's place and is checked against the file's size.
    pub fn open(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::BadWeights { path: path.to_owned(), reason };
        let file = MappedFile::open(path)?;
        let map = file.bytes();
        let parsed = SafeTensors::deserialize(map).map_err(|e| {
            bad(format!("{e} ({} bytes); the file is truncated or damaged, download it again", map.len()))
        })?;
        let start = map.as_ptr() as usize;
        let mut entries = HashMap::new();
        for (name, view) in parsed.tensors() {
            let offset = view.data().as_ptr() as usize - start;
            let bytes = offset..offset + view.data().len();
            entries.insert(name, Entry { dtype: view.dtype(), shape: view.shape().to_vec(), bytes });
        }
        Ok(Self { path: path.to_owned(), file, entries })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|e| e.shape.as_slice())
    }

    /// Name of the stored element type.
    pub fn dtype_name(&self, name: &str) -> Option<String> {
        self.entries.get(name).map(|e| stored(e.dtype).map_or(format!("{:?}", e.dtype), |s| s.name().to_owned()))
    }

    /// A few of a tensor's stored bytes, from its middle.
    pub fn sample(&self, name: &str) -> &[u8] {
        let Some(entry) = self.entries.get(name) else { return &[] };
        let bytes = &self.file.bytes()[entry.bytes.clone()];
        let start = (bytes.len() / 2).min(bytes.len().saturating_sub(SAMPLE));
        &bytes[start..bytes.len().min(start + SAMPLE)]
    }

    /// The tensor as the file has it if that is the wanted type, or none is asked for; else converted piece by piece.
    pub fn read(&self, name: &str, dtype: Option<Dtype>) -> Result<TensorData> {
        let bad = |reason: String| Error::BadWeights { path: self.path.clone(), reason };
        let Entry { dtype: found, shape, bytes } =
            self.entries.get(name).ok_or_else(|| bad(format!("no tensor is called {name}")))?;
        let stored = stored(*found)
            .ok_or_else(|| bad(format!("{name} holds {found:?}; f32, f16 and bf16 weights can be read")))?;
        let dtype = dtype.unwrap_or(stored.dtype());
        if fits_in_place(&self.file.bytes()[bytes.clone()], stored, dtype) {
            let window = bytes::Bytes::from_owner(self.file.window(bytes.clone())?);
            return Ok(in_place(window, AllocationProperty::File, shape, dtype));
        }
        tensor_data(self.file.blocks(bytes.clone()), stored, shape, dtype)
    }
}

fn stored(dtype: FileDtype) -> Option<Stored> {
    match dtype {
        FileDtype::F64 => Some(Stored::F64),
        FileDtype::F32 => Some(Stored::F32),
        FileDtype::F16 => Some(Stored::F16),
        FileDtype::BF16 => Some(Stored::Bf16),
        _ => None,
    }
}
