//! Writing safetensors files of any size with the memory of one tensor.

use std::{
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use longvu_core::Dtype;
use safetensors::Dtype as FileDtype;

use super::header::SafetensorsHeader;
use crate::{Error, Result, TensorSpec, atomic::FileDraft};

/// Streams tensors into a safetensors file, which appears under its name only once it is complete.
///
/// Any error while writing spoils the file: later calls fail too.
pub struct SafetensorsWriter {
    path: PathBuf,
    out: BufWriter<FileDraft>,
    dtype: Dtype,
    pending: std::collections::VecDeque<TensorSpec>,
    spoilt: bool,
}

impl SafetensorsWriter {
    /// Starts `path` with a header for `specs`, all stored as `dtype`.
    ///
    /// # Errors
    /// When two tensors have one name, their sizes overflow, or the file cannot be created.
    pub fn create(path: &Path, specs: &[TensorSpec], dtype: Dtype) -> Result<Self> {
        let stored = match dtype {
            Dtype::F32 => FileDtype::F32,
            Dtype::F16 => FileDtype::F16,
            Dtype::Bf16 => FileDtype::BF16,
        };
        let tensors = specs.iter().map(|spec| (spec.name.clone(), stored, spec.shape.clone()));
        let header = SafetensorsHeader::new(("format", "pt"), tensors);
        let header = header.map_err(|reason| Error::BadTensors { path: path.to_owned(), reason })?;
        let draft = FileDraft::new(path).map_err(Error::write(path))?;
        let mut out = BufWriter::with_capacity(1 << 20, draft);
        header.write(&mut out).map_err(Error::write(path))?;
        Ok(Self { path: path.to_owned(), out, dtype, pending: specs.iter().cloned().collect(), spoilt: false })
    }

    /// Writes the next tensor of the list, whose row-major `values` are converted to the file's dtype.
    ///
    /// # Errors
    /// When the disk is full, the number of values is not the announced one, or no tensor is left.
    pub fn write(&mut self, values: &[f32]) -> Result<()> {
        self.write_blocks(std::iter::once(values))
    }

    /// Writes the next tensor of the list, whose row-major values come in `blocks`.
    ///
    /// # Errors
    /// As [`SafetensorsWriter::write`].
    pub fn write_blocks<B: AsRef<[f32]>>(&mut self, blocks: impl IntoIterator<Item = B>) -> Result<()> {
        let Some(spec) = self.pending.pop_front() else {
            return Err(self.spoil("every announced tensor is written already".into()));
        };
        let (mut given, announced) = (0, spec.num_elements());
        for block in blocks {
            given += block.as_ref().len();
            if given > announced {
                break;
            }
            for chunk in block.as_ref().chunks(1 << 16) {
                let bytes: Vec<u8> = match self.dtype {
                    Dtype::F32 => chunk.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    Dtype::F16 => chunk.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
                    Dtype::Bf16 => chunk.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
                };
                self.put(&bytes)?;
            }
        }
        if given != announced {
            let TensorSpec { name, shape, .. } = spec;
            return Err(self.spoil(format!("{given} values were given for {name} of shape {shape:?}")));
        }
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When tensors are outstanding, an earlier call failed, or the disk refuses.
    pub fn finish(mut self) -> Result<()> {
        if self.spoilt || !self.pending.is_empty() {
            let left = self.pending.len();
            return Err(self.spoil(format!("the file is incomplete ({left} tensors were announced and not written)")));
        }
        let written = self.out.into_inner().map_err(|error| error.into_error());
        written.and_then(FileDraft::commit).map_err(Error::write(&self.path))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| {
            self.spoilt = true;
            Error::write(&self.path)(error)
        })
    }

    fn spoil(&mut self, reason: String) -> Error {
        self.spoilt = true;
        Error::BadTensors { path: self.path.clone(), reason }
    }
}
