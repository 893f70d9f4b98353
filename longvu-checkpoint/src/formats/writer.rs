//! Writing safetensors files of any size with the memory of one tensor.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use longvu_core::Dtype;

use crate::{Error, Result, TensorSpec};

/// Streams tensors into a safetensors file, which appears under its name only once it is complete.
///
/// Until then the data grow beside it, in a file with `.partial` at its end that is removed when the writer is
/// dropped. Any error while writing spoils the file: later calls fail too.
pub struct SafetensorsWriter {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
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
        let bad = |reason: String| Error::BadTensors { path: path.to_owned(), reason };
        let mut offset = 0usize;
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!({ "format": "pt" }));
        for TensorSpec { name, shape, .. } in specs {
            let bytes = shape.iter().try_fold(dtype.size(), |product, &d| product.checked_mul(d));
            let end = bytes.and_then(|bytes| offset.checked_add(bytes));
            let end = end.ok_or_else(|| bad(format!("{name} of shape {shape:?} is larger than a file can be")))?;
            let stored = dtype.to_string().to_ascii_uppercase();
            let entry = serde_json::json!({ "dtype": stored, "shape": shape, "data_offsets": [offset, end] });
            if header.insert(name.clone(), entry).is_some() {
                return Err(bad(format!("two tensors are to be called {name}; names must differ")));
            }
            offset = end;
        }
        let mut text = serde_json::Value::Object(header).to_string();
        // Readers that map the file want the data aligned.
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        let mut partial = path.to_owned().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(Error::write(&partial))?);
        let pending = specs.iter().cloned().collect();
        let mut writer = Self { path: path.to_owned(), partial, out, dtype, pending, spoilt: false };
        writer.put(&(text.len() as u64).to_le_bytes())?;
        writer.put(text.as_bytes())?;
        Ok(writer)
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
        self.out.flush().map_err(Error::write(&self.partial))?;
        // The name must not appear before the data are safe.
        self.out.get_ref().sync_all().map_err(Error::write(&self.partial))?;
        std::fs::rename(&self.partial, &self.path).map_err(Error::write(&self.path))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| {
            self.spoilt = true;
            Error::write(&self.partial)(error)
        })
    }

    fn spoil(&mut self, reason: String) -> Error {
        self.spoilt = true;
        Error::BadTensors { path: self.path.clone(), reason }
    }
}

impl Drop for SafetensorsWriter {
    fn drop(&mut self) {
        // After a successful finish the partial file no longer exists; after a failure it must not stay behind.
        let _ = std::fs::remove_file(&self.partial);
    }
}
