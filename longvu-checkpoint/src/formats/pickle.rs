//! PyTorch checkpoints (`pytorch_model.bin`, `.pt`, `.pth`), read through burn-store's pickle reader.

use std::{
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, TensorData};
use burn_store::pytorch_reader::{DType as FileDtype, PytorchReader};
use longvu_core::Dtype;

use super::{
    convert::{Stored, fits_in_place, in_place, tensor_data},
    pickle_scan,
};
use crate::{Error, Limits, Result, files};

/// Bytes at the end of a file that surely hold its directory: about 100 a tensor.
const DIRECTORY: u64 = 1 << 20;

/// A parsed pickle; tensor bytes are read from the file when asked for.
pub struct PickleFile {
    path: PathBuf,
    reader: PytorchReader,
}

impl PickleFile {
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let bad = |reason: String| Error::BadWeights { path: path.to_owned(), reason };
        pickle_scan::check(path, limits).map_err(bad)?;
        let reader = PytorchReader::new(path)
            .map_err(|error| bad(format!("{error}; if the file was cut short, download it again")))?;
        Ok(Self { path: path.to_owned(), reader })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.reader.tensors().keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.reader.get(name).map(|t| t.shape())
    }

    /// Name of the stored element type.
    pub fn dtype_name(&self, name: &str) -> Option<String> {
        self.reader.get(name).map(|t| stored(t.dtype()).map_or(format!("{:?}", t.dtype()), |s| s.name().to_owned()))
    }

    /// The end of the file. That is the directory of the archive that a pickled checkpoint is, with a checksum of every
    /// tensor.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn directory(&self) -> std::io::Result<Vec<u8>> {
        let mut file = files::open_regular(&self.path)?;
        let start = file.metadata()?.len().saturating_sub(DIRECTORY);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(DIRECTORY).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub fn read(&self, name: &str, dtype: Option<Dtype>) -> Result<TensorData> {
        let bad = |reason: String| Error::BadWeights { path: self.path.clone(), reason };
        let tensor = self.reader.get(name).ok_or_else(|| bad(format!("no tensor is called {name}")))?;
        let stored = stored(tensor.dtype())
            .ok_or_else(|| bad(format!("{name} holds {:?}; f32, f16 and bf16 weights can be read", tensor.dtype())))?;
        let bytes = tensor.read().map_err(Error::read(&self.path))?;
        let dtype = dtype.unwrap_or(stored.dtype());
        if fits_in_place(&bytes, stored, dtype) {
            return Ok(in_place(bytes.into(), AllocationProperty::Native, tensor.shape(), dtype));
        }
        tensor_data(std::iter::once(Ok(bytes)), stored, tensor.shape(), dtype)
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
