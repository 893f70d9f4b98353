//! What of a weights file is in memory: as much as is being used, and never twice.

use std::{fs, path::Path};

use burn::tensor::{Device, Tensor, TensorData};
use longvu_checkpoint::{Checkpoint, TensorSource};
use longvu_core::Dtype;

use crate::{
    pickle,
    support::{Tensors, Values, encode, write_safetensors},
};

/// Many of the blocks in which tensors are converted.
const SHAPE: [usize; 2] = [1 << 13, 1 << 10];
const BYTES: usize = 4 * SHAPE[0] * SHAPE[1];

fn large() -> Tensors {
    let values = (0..SHAPE[0] * SHAPE[1]).map(|i| (i % 4001) as f32 / 16.0 - 99.0).collect();
    [("large".to_owned(), Values { shape: SHAPE.to_vec(), values })].into()
}

fn open(path: &Path) -> Checkpoint {
    Checkpoint::open_files("test".into(), vec![path.to_owned()]).unwrap()
}

/// Bytes of the mapped file at `path` that are in this process's memory.
#[cfg(target_os = "linux")]
fn resident(path: &Path) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut bytes) = (false, 0);
    for line in maps.lines() {
        match line.split_once(' ') {
            Some((range, _)) if range.contains('-') && !range.ends_with(':') => {
                ours = line.ends_with(path.to_str().unwrap());
            }
            Some(("Rss:", size)) if ours => {
                bytes += 1024 * size.trim().strip_suffix(" kB").unwrap().trim().parse::<usize>().unwrap();
            }
            _ => {}
        }
    }
    bytes
}

#[test]
#[cfg(target_os = "linux")]
fn converted_bytes_do_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &large(), Dtype::F32);
    let checkpoint = open(&path);
    for dtype in [Dtype::F16, Dtype::Bf16] {
        let data = checkpoint.read("large", &SHAPE, dtype).unwrap();
        assert_eq!(data.num_elements(), SHAPE[0] * SHAPE[1]);
        assert!(resident(&path) < 1 << 20, "{} bytes stay", resident(&path));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_tensor_of_the_file_s_type_is_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &large(), Dtype::F32);
    let checkpoint = open(&path);
    let data = checkpoint.read("large", &SHAPE, Dtype::F32).unwrap();
    let tensor = Tensor::<2>::from_data(data, &Device::flex());
    assert!(resident(&path) >= BYTES, "{} of {BYTES} bytes are there", resident(&path));
    drop(checkpoint);
    // Computing with it leaves it as it is.
    let changed = tensor.clone() + 1.0;
    assert_eq!(tensor.clone().slice([7..8, 5..6]).into_scalar::<f32>(), (7 * 1024 + 5) as f32 % 4001.0 / 16.0 - 99.0);
    drop((tensor, changed));
    assert_eq!(resident(&path), 0);
}

/// Files need not align their data; what cannot be used as it lies is copied.
#[test]
fn data_at_odd_places_are_copied() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..1000).map(|i| (i % 256) as f32 / 8.0).collect();
    for dtype in Dtype::ALL {
        let bytes = encode(&values, dtype);
        let stored = dtype.to_string().to_uppercase();
        let mut header = format!(r#"{{"t":{{"dtype":"{stored}","shape":[1000],"data_offsets":[0,{}]}}}}"#, bytes.len());
        header += if (header.len() + 8).is_multiple_of(2) { " " } else { "" };
        let path = folder.path().join(format!("{dtype}.safetensors"));
        let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes].concat();
        fs::write(&path, file).unwrap();
        let data = open(&path).read("t", &[1000], dtype).unwrap();
        assert_eq!(data.iter::<f32>().collect::<Vec<_>>(), values, "{dtype}");
    }
}

#[test]
fn a_file_cut_short_after_it_was_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &large(), Dtype::F32);
    let checkpoint = open(&path);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(BYTES as u64 / 2).unwrap();
    for dtype in Dtype::ALL {
        let error = checkpoint.read("large", &SHAPE, dtype).unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}

#[test]
fn a_pickle_s_bytes_become_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pytorch_model.bin");
    pickle::write(&path, &large(), Dtype::Bf16);
    let checkpoint = open(&path);
    let read = |dtype| checkpoint.read("large", &SHAPE, dtype).unwrap();
    let (same, widened): (TensorData, TensorData) = (read(Dtype::Bf16), read(Dtype::F32));
    assert!(same.iter::<f32>().eq(widened.iter::<f32>()));
}
