//! Files that are cut, foreign or do not fit: always an error that says which file and what to do, never a panic.

use std::path::Path;

use longvu_checkpoint::Error;
use longvu_core::Dtype;
use serde_json::json;

use crate::{pickle, support::*};

/// The message for a folder whose `name` holds `bytes`.
fn failure_of(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    let message = failure(folder.path(), &layout(&small()));
    assert!(message.contains(name), "{message}");
    message
}

fn bytes_of(write: impl FnOnce(&Path)) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path());
    std::fs::read(file.path()).unwrap()
}

#[test]
fn a_safetensors_file_cut_anywhere() {
    let whole = bytes_of(|path| write_safetensors(path, &small(), Dtype::F32));
    for length in 0..whole.len() {
        let message = failure_of("model.safetensors", &whole[..length]);
        assert!(message.contains("download it again"), "{length}: {message}");
    }
    // More than the header tells is no better.
    failure_of("model.safetensors", &[whole.as_slice(), b"extra"].concat());
}

#[test]
fn a_pickle_cut_anywhere() {
    let whole = bytes_of(|path| pickle::write(path, &small(), Dtype::Bf16));
    for length in (0..whole.len()).step_by(3) {
        let message = failure_of("pytorch_model.bin", &whole[..length]);
        assert!(message.contains("download it again"), "{length}: {message}");
    }
}

/// Flips bytes all over a pickle: it may load, with other values or names, or fail, but not panic.
#[test]
fn a_pickle_with_any_byte_changed() {
    let whole = bytes_of(|path| pickle::write(path, &small(), Dtype::F32));
    let folder = tempfile::tempdir().unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0xFF;
        std::fs::write(folder.path().join("pytorch_model.bin"), bytes).unwrap();
        let _ = load_folder(folder.path(), &layout(&small()), Dtype::F32);
    }
}

#[test]
fn files_that_are_no_weights() {
    let garbage: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for name in ["model.safetensors", "pytorch_model.bin"] {
        assert!(failure_of(name, b"").contains("empty"));
        failure_of(name, &garbage);
        failure_of(name, &[0; 64]);
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
        assert!(failure_of(name, pointer).contains("git lfs pull"));
        assert!(failure_of(name, b"<!DOCTYPE html><html>").contains("web page"));
    }
}

#[test]
fn safetensors_headers_that_lie() {
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let entry = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"a.weight": {{"dtype": "F32", "shape": {shape}, "data_offsets": [{from}, {to}]}}}}"#)
    };
    // A length that no header has, and one that no address space has.
    for length in [1u64 << 32, u64::MAX, u64::MAX - 7] {
        failure_of("model.safetensors", &[&length.to_le_bytes()[..], b"{}"].concat());
    }
    for bytes in [
        file(&entry("[4, 3]", 0, 48), 47),
        file(&entry("[4, 3]", 0, 44), 44),
        file(&entry("[4, 3]", 48, 0), 48),
        file(&entry("[4611686018427387904, 8]", 0, 0), 0),
        file(&entry("[4, 3]", 0, u64::MAX), 48),
        file(&entry("[-4, 3]", 0, 48), 48),
        file("[]", 0),
        file("{\"a.weight\": 3}", 0),
    ] {
        failure_of("model.safetensors", &bytes);
    }
}

#[test]
fn an_element_type_that_is_no_float() {
    let folder = tempfile::tempdir().unwrap();
    let layout = [("ids".to_owned(), vec![3])];
    let bytes: Vec<u8> = [1i64, 2, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = folder.path().join("pytorch_model.bin");
    pickle::write_raw(&path, [(("ids", &[3usize][..]), bytes.clone())].into_iter(), "LongStorage");
    let message = failure(folder.path(), &layout);
    assert!(message.contains("ids holds I64; f32, f16 and bf16"), "{message}");

    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![3], &bytes).unwrap();
    let file = safetensors::serialize([("ids", view)], None).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let message = failure(folder.path(), &layout);
    assert!(message.contains("ids holds I64; f32, f16 and bf16"), "{message}");
}

#[test]
fn folders_without_weights() {
    let folder = tempfile::tempdir().unwrap();
    let message = failure(folder.path(), &layout(&small()));
    assert!(message.contains("model.safetensors") && message.contains("pytorch_model.bin"), "{message}");
    // A folder of that name is no file.
    std::fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    failure(folder.path(), &layout(&small()));
    failure(Path::new("/no/such/folder"), &layout(&small()));
}

#[test]
fn an_index_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    write_shards(&index, &small(), 2, |path, part| write_safetensors(path, part, Dtype::F32));
    let shard = folder.path().join("model-00002-of-00002.safetensors");
    std::fs::remove_file(&shard).unwrap();
    let message = failure(folder.path(), &layout(&small()));
    assert!(message.contains("model-00002-of-00002.safetensors") && message.contains("index.json"), "{message}");

    let outside = tempfile::tempdir().unwrap();
    write_safetensors(&outside.path().join("x.safetensors"), &small(), Dtype::F32);
    let absolute = outside.path().join("x.safetensors").display().to_string();
    for name in ["../x.safetensors", &absolute, "..", ".hidden", "a\\b", "C:x", ""] {
        std::fs::write(&index, json!({"weight_map": {"a.weight": name}}).to_string()).unwrap();
        let message = failure(folder.path(), &layout(&small()));
        assert!(message.contains("index.json") && message.contains("no name of a file"), "{name}: {message}");
    }
    for text in ["", "{}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 1}}", "[]", "{\"weight_map\": "] {
        std::fs::write(&index, text).unwrap();
        assert!(failure(folder.path(), &layout(&small())).contains("index.json"), "{text}");
    }
    // A tensor that the index promises and its shard lacks is missing by name.
    write_safetensors(&shard, &small(), Dtype::F32);
    let map = json!({"weight_map": {"a.weight": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}});
    std::fs::write(&index, map.to_string()).unwrap();
    let mut wanted = layout(&small());
    wanted.push(("c".into(), vec![1]));
    assert!(failure(folder.path(), &wanted).contains("1 missing:\n    c"));
}

#[test]
fn all_that_does_not_fit_is_listed_in_one_error() {
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join("model.safetensors"), &small(), Dtype::F16);
    let wanted = [("a.weight", vec![3, 4]), ("a.bias", vec![4]), ("c.weight", vec![1]), ("d.weight", vec![2, 2])];
    let wanted: Vec<_> = wanted.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect();
    let error = load_folder(folder.path(), &wanted, Dtype::F32).unwrap_err();
    let message = error.to_string();
    for part in [
        "test model from ",
        "2 missing:\n    c.weight\n    d.weight",
        "a.weight: expected [3, 4], found [4, 3]",
        "2 unexpected:\n    b.weight\n    none",
        "config.json",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let Error::Mismatch(mismatch) = error else { panic!("{error:?}") };
    assert_eq!(mismatch.missing, ["c.weight", "d.weight"]);
    assert_eq!(mismatch.unexpected, ["b.weight", "none"]);
    assert_eq!(mismatch.misshaped, [("a.weight".to_owned(), vec![3, 4], vec![4, 3])]);

    // Tensors that the model does not know do no harm by themselves; they are reported.
    let wanted = [("a.bias".to_owned(), vec![4])];
    let (_, report) = load_folder(folder.path(), &wanted, Dtype::F32).unwrap();
    assert_eq!(
        (report.parameters, report.unexpected),
        (4, ["a.weight", "b.weight", "none"].map(String::from).to_vec())
    );
}

/// A configuration of an image-stage model beside a video model's weights, as once published.
#[test]
fn weights_for_144_queries_under_a_configuration_of_576() {
    let name = "model.vision_sampler_0.layers.0.pos_embed_0";
    let mut wanted = layout(&tensors(&golden("checkpoint/longvu_qwen/model.safetensors")));
    let (_, shape) = wanted.iter_mut().find(|(n, _)| n == name).unwrap();
    assert_eq!(shape[0], 4);
    shape[0] = 1;
    let message = failure(&golden("checkpoint/longvu_qwen"), &wanted);
    for part in [name, "`query_num_list`", "`image_token_len`", "144", "576"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_long_list_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join("model.safetensors"), &small(), Dtype::F32);
    let wanted: Vec<_> = (0..1000).map(|i| (format!("layers.{i}.weight"), vec![1])).collect();
    let message = failure(folder.path(), &wanted);
    assert!(message.contains("1000 missing") && message.lines().count() < 60, "{message}");
}
