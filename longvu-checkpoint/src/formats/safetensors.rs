//! Safetensors files: the header is read at once, a tensor's bytes when it is asked for.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, TensorData};
use longvu_core::Dtype;
use safetensors::Dtype as FileDtype;

use super::{
    convert::{Stored, fits_in_place, in_place, tensor_data},
    header::{HeaderFault, SafetensorsHeader},
    mapped::{Mapping, WeightsFile},
};
use crate::{Error, Limits, Result};

/// Bytes that tell a tensor from another of the same shape: they lie on one or two pages.
const SAMPLE: usize = 256;

/// An open file and where each tensor lies in it.
pub struct SafetensorsFile {
    path: PathBuf,
    file: WeightsFile,
    entries: HashMap<String, Entry>,
}

struct Entry {
    dtype: FileDtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl SafetensorsFile {
    /// Opens the file and parses its header, which states every tensor's place and is checked against the file's size.
    pub fn open(path: &Path, limits: &Limits, mapping: Mapping) -> Result<Self> {
        let bad = |reason: String| Error::BadWeights { path: path.to_owned(), reason };
        let file = WeightsFile::open(path, mapping)?;
        let damaged = |what: &str| {
            bad(format!("{what} ({} bytes); the file is truncated or damaged, download it again", file.len()))
        };
        let len = usize::try_from(file.len()).map_err(|_| bad("it is larger than this machine can address".into()))?;
        if len < SafetensorsHeader::STATED {
            return Err(damaged("it ends before its header"));
        }
        let first = file.copy(0..SafetensorsHeader::STATED)?.first_chunk().copied().unwrap_or_default();
        let header = SafetensorsHeader::stated_len(first, file.len(), limits.header_bytes);
        let header = header.map_err(|fault| match fault {
            HeaderFault::Truncated { stated } => {
                damaged(&format!("it ends within its header, of {stated} bytes as it says"))
            }
            HeaderFault::TooLong { stated } => {
                let reason = format!("its header has {stated} bytes, more than the {} allowed", limits.header_bytes);
                Error::OverLimit { path: path.to_owned(), reason }
            }
        })?;
        let start = SafetensorsHeader::STATED + header;
        let header = SafetensorsHeader::parse(&file.copy(SafetensorsHeader::STATED..start)?);
        let header = header.map_err(|error| damaged(&format!("header: {error}")))?;
        if start.checked_add(header.data_len()) != Some(len) {
            return Err(damaged(&format!("its header tells of {} bytes of tensors", header.data_len())));
        }
        let entries = header.tensors().into_iter().map(|(name, info)| {
            let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
            (name, Entry { dtype: info.dtype, shape: info.shape, bytes })
        });
        Ok(Self { path: path.to_owned(), entries: entries.collect(), file })
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
    ///
    /// # Errors
    /// A file that has changed, or cannot be read.
    pub fn sample(&self, name: &str) -> Result<Vec<u8>> {
        let Some(Entry { bytes, .. }) = self.entries.get(name) else { return Ok(Vec::new()) };
        let start = (bytes.len() / 2).min(bytes.len().saturating_sub(SAMPLE));
        self.file.copy(bytes.start + start..bytes.end.min(bytes.start + start + SAMPLE))
    }

    /// The tensor as the file has it if that is the wanted type, or none is asked for; else converted piece by piece.
    pub fn read(&self, name: &str, dtype: Option<Dtype>) -> Result<TensorData> {
        let bad = |reason: String| Error::BadWeights { path: self.path.clone(), reason };
        let Entry { dtype: found, shape, bytes } =
            self.entries.get(name).ok_or_else(|| bad(format!("no tensor is called {name}")))?;
        let stored = stored(*found)
            .ok_or_else(|| bad(format!("{name} holds {found:?}; f32, f16 and bf16 weights can be read")))?;
        let dtype = dtype.unwrap_or(stored.dtype());
        if stored != Stored::F64 && stored.dtype() == dtype && self.file.is_aligned(bytes.start, dtype.size()) {
            let window = self.file.window(bytes.clone())?;
            if fits_in_place(window.as_ref(), stored, dtype) {
                return Ok(in_place(bytes::Bytes::from_owner(window), AllocationProperty::File, shape, dtype));
            }
            return tensor_data(std::iter::once(Ok(window)), stored, shape, dtype);
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
