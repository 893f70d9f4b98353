//! Writing safetensors files of any size with the memory of one tensor.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use half::{bf16, f16};

use crate::{Dtype, Error, Result, TensorSpec};

/// Streams tensors into a safetensors file, which appears under its name only once it is complete.
pub struct SafetensorsWriter {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    dtype: Dtype,
    pending: std::collections::VecDeque<TensorSpec>,
}

impl SafetensorsWriter {
    /// Starts `path` with a header for `specs`, all stored as `dtype`.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path, specs: &[TensorSpec], dtype: Dtype) -> Result<Self> {
        let mut offset = 0;
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), serde_json::json!({ "format": "pt" }));
        for spec in specs {
            let end = offset + spec.num_elements() * dtype.size();
            let name = dtype.to_string().to_ascii_uppercase();
            let entry = serde_json::json!({ "dtype": name, "shape": spec.shape, "data_offsets": [offset, end] });
            header.insert(spec.name.clone(), entry);
            offset = end;
        }
        let mut text = serde_json::Value::Object(header).to_string();
        // Readers that map the file want the data aligned.
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        let partial = path.with_extension("safetensors.partial");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(Error::io(&partial))?);
        let head = out.write_all(&(text.len() as u64).to_le_bytes()).and_then(|()| out.write_all(text.as_bytes()));
        head.map_err(Error::io(&partial))?;
        Ok(Self { path: path.to_owned(), partial, out, dtype, pending: specs.iter().cloned().collect() })
    }

    /// Writes the next tensor of the list, whose row-major `values` are converted to the file's dtype.
    ///
    /// # Errors
    /// When the disk is full or the number of values is not the announced one.
    pub fn write(&mut self, values: &[f32]) -> Result<()> {
        let expected = self.pending.pop_front().map_or(0, |spec| spec.num_elements());
        if expected != values.len() {
            let reason = format!("{} values were given for a tensor of {expected}", values.len());
            return Err(Error::BadWeights { path: self.path.clone(), reason });
        }
        for chunk in values.chunks(1 << 16) {
            let bytes: Vec<u8> = match self.dtype {
                Dtype::F32 => chunk.iter().flat_map(|v| v.to_le_bytes()).collect(),
                Dtype::F16 => chunk.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
                Dtype::Bf16 => chunk.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
            };
            self.out.write_all(&bytes).map_err(Error::io(&self.partial))?;
        }
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When tensors are outstanding, or the disk refuses.
    pub fn finish(mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let reason = format!("{} tensors were announced and not written", self.pending.len());
            return Err(Error::BadWeights { path: self.path.clone(), reason });
        }
        self.out.flush().map_err(Error::io(&self.partial))?;
        std::fs::rename(&self.partial, &self.path).map_err(Error::io(&self.path))
    }
}

impl Drop for SafetensorsWriter {
    fn drop(&mut self) {
        // After a successful finish the partial file no longer exists; after a failure it must not stay behind.
        let _ = std::fs::remove_file(&self.partial);
    }
}
