//! Writes state dicts as `torch.save` does: a zip of a pickle and one stored entry per storage.

use std::{io::Write, path::Path};

use longvu_core::Dtype;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::support::{Tensors, encode};

/// Protocol 2 of Python's pickle, as far as a state dict needs it.
#[derive(Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn op(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.op(format!("c{module}\n{name}\n").as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        self.op(&(text.len() as u32).to_le_bytes());
        self.op(text.as_bytes());
    }

    fn int(&mut self, value: usize) {
        self.op(b"J");
        self.op(&i32::try_from(value).unwrap().to_le_bytes());
    }

    fn ints(&mut self, values: &[usize]) {
        self.op(b"(");
        values.iter().for_each(|&v| self.int(v));
        self.op(b"t");
    }

    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.op(b")R");
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, stride, False, OrderedDict())`.
    fn tensor(&mut self, storage: &str, key: &str, shape: &[usize]) {
        let stride: Vec<usize> = (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect();
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(b"((");
        self.text("storage");
        self.global("torch", storage);
        self.text(key);
        self.text("cpu");
        self.int(shape.iter().product());
        self.op(b"tQ");
        self.int(0);
        self.ints(shape);
        self.ints(&stride);
        self.op(b"\x89");
        self.ordered_dict();
        self.op(b"tR");
    }
}

/// Writes `tensors` in `dtype` to `path`.
pub fn write(path: &Path, tensors: &Tensors, dtype: Dtype) {
    let storage = match dtype {
        Dtype::F32 => "FloatStorage",
        Dtype::F16 => "HalfStorage",
        Dtype::Bf16 => "BFloat16Storage",
    };
    let bytes = tensors.values().map(|t| encode(&t.values, dtype));
    write_raw(path, tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).zip(bytes), storage);
}

/// The same for any storage class and bytes.
pub fn write_raw<'a>(path: &Path, entries: impl Iterator<Item = ((&'a str, &'a [usize]), Vec<u8>)>, storage: &str) {
    write_inside(path, entries, storage, None);
}

/// The same inside the entry `wrapper` of a training program's dictionary, beside an epoch and an optimizer's moments.
pub fn write_wrapped(path: &Path, tensors: &Tensors, wrapper: &str) {
    let bytes = tensors.values().map(|t| encode(&t.values, Dtype::F32));
    let entries = tensors.iter().map(|(name, t)| (name.as_str(), t.shape.as_slice())).zip(bytes);
    write_inside(path, entries, "FloatStorage", Some(wrapper));
}

fn write_inside<'a>(
    path: &Path,
    entries: impl Iterator<Item = ((&'a str, &'a [usize]), Vec<u8>)>,
    storage: &str,
    wrapper: Option<&str>,
) {
    let entries: Vec<_> = entries.collect();
    let mut pickle = Pickle::default();
    pickle.op(b"\x80\x02");
    if let Some(wrapper) = wrapper {
        pickle.op(b"}(");
        pickle.text("epoch");
        pickle.int(3);
        pickle.text(wrapper);
    }
    pickle.ordered_dict();
    pickle.op(b"(");
    for (key, ((name, shape), _)) in entries.iter().enumerate() {
        pickle.text(name);
        pickle.tensor(storage, &key.to_string(), shape);
    }
    pickle.op(b"u");
    if wrapper.is_some() {
        pickle.text("optimizer");
        pickle.op(b"}(");
        pickle.text("state");
        pickle.op(b"}(");
        pickle.int(0);
        pickle.tensor(storage, "0", entries[0].0.1);
        pickle.op(b"uuu");
    }
    pickle.op(b".");
    let storages: Vec<_> = entries.into_iter().map(|(_, bytes)| bytes).collect();
    archive(path, &pickle.0, &storages, CompressionMethod::Stored);
}

/// The archive of a pickle and its storages, as `torch.save` packs them.
pub fn archive(path: &Path, pickle: &[u8], storages: &[Vec<u8>], method: CompressionMethod) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry("pytorch_model/data.pkl", pickle);
    entry("pytorch_model/byteorder", b"little");
    for (key, bytes) in storages.iter().enumerate() {
        entry(&format!("pytorch_model/data/{key}"), bytes);
    }
    entry("pytorch_model/version", b"3\n");
    zip.finish().unwrap();
}
