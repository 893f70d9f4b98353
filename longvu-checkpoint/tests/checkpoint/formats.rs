//! The golden LongVU checkpoints in every layout and element type, and files that PyTorch itself has written.

use std::path::Path;

use burn::tensor::TensorData;
use longvu_checkpoint::{Checkpoint, Repo, TensorSource};
use longvu_core::Dtype;

use crate::{pickle, support::*};

fn golden_model(name: &str) -> Tensors {
    tensors(&golden(&format!("checkpoint/{name}/model.safetensors")))
}

/// Runs `write` for each stored type into a fresh folder and checks what is loaded from it.
fn every_type(write: impl Fn(&Path, &Tensors, Dtype)) {
    for model in ["longvu_qwen", "longvu_llama"] {
        let tensors = golden_model(model);
        for stored in Dtype::ALL {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &tensors, stored);
            check_folder(folder.path(), &tensors, stored);
        }
    }
}

#[test]
fn golden_checkpoints_load_as_they_are() {
    for folder in ["longvu_qwen", "longvu_llama", "dinov2", "siglip"] {
        check_folder(&golden(&format!("checkpoint/{folder}")), &golden_model(folder), Dtype::F32);
    }
}

#[test]
fn one_safetensors_file() {
    every_type(|folder, tensors, dtype| write_safetensors(&folder.join("model.safetensors"), tensors, dtype));
}

#[test]
fn safetensors_shards() {
    every_type(|folder, tensors, dtype| {
        let index = folder.join("model.safetensors.index.json");
        write_shards(&index, tensors, 3, |path, part| write_safetensors(path, part, dtype));
    });
}

#[test]
fn one_pickle() {
    every_type(|folder, tensors, dtype| pickle::write(&folder.join("pytorch_model.bin"), tensors, dtype));
}

#[test]
fn pickle_shards() {
    every_type(|folder, tensors, dtype| {
        let index = folder.join("pytorch_model.bin.index.json");
        write_shards(&index, tensors, 3, |path, part| pickle::write(path, part, dtype));
    });
}

#[test]
fn stored_types_are_counted() {
    let tensors = small();
    for (dtype, name) in [(Dtype::F32, "f32"), (Dtype::F16, "f16"), (Dtype::Bf16, "bf16")] {
        let folder = tempfile::tempdir().unwrap();
        pickle::write(&folder.path().join("pytorch_model.bin"), &tensors, dtype);
        let checkpoint = Checkpoint::open(&Repo::folder(folder.path())).unwrap();
        assert_eq!(checkpoint.stored_dtypes(), [(name.to_owned(), 12 + 4 + 8)].into());
        assert_eq!(checkpoint.files(), [folder.path().join("pytorch_model.bin")]);
    }
}

/// Where several layouts lie side by side, the one that Hugging Face's library would take is taken.
#[test]
fn a_single_file_comes_before_shards_and_safetensors_before_pickles() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let good = small();
    let mut other = good.clone();
    other.values_mut().for_each(|t| t.values.iter_mut().for_each(|v| *v += 1.0));

    pickle::write(&at("pytorch_model.bin"), &good, Dtype::F32);
    write_shards(&at("pytorch_model.bin.index.json"), &other, 2, |p, part| pickle::write(p, part, Dtype::F32));
    check_folder(folder.path(), &good, Dtype::F32);
    write_shards(&at("model.safetensors.index.json"), &other, 2, |p, t| write_safetensors(p, t, Dtype::F32));
    check_folder(folder.path(), &other, Dtype::F32);
    write_safetensors(&at("model.safetensors"), &good, Dtype::F32);
    check_folder(folder.path(), &good, Dtype::F32);
}

#[test]
fn of_a_tensor_in_two_shards_the_index_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let good = small();
    let mut wrong = good.clone();
    wrong.values_mut().for_each(|t| t.values.iter_mut().for_each(|v| *v = 9.0));
    for (first, second, chosen) in [(&good, &wrong, "1"), (&wrong, &good, "2")] {
        write_safetensors(&folder.path().join("1.safetensors"), first, Dtype::F32);
        write_safetensors(&folder.path().join("2.safetensors"), second, Dtype::F32);
        let mut map: serde_json::Map<_, _> =
            good.keys().map(|name| (name.clone(), format!("{chosen}.safetensors").into())).collect();
        // Keeps the shard that is not chosen in the list of files.
        let other = if chosen == "1" { "2" } else { "1" };
        map.insert("elsewhere".into(), format!("{other}.safetensors").into());
        std::fs::write(&index, serde_json::json!({"weight_map": map}).to_string()).unwrap();
        check_folder(folder.path(), &good, Dtype::F32);
    }
    let files = ["1.safetensors", "2.safetensors"].map(|name| folder.path().join(name)).to_vec();
    let error = Checkpoint::open_files("both".into(), files).err().unwrap().to_string();
    assert!(error.contains("2.safetensors") && error.contains("1.safetensors too"), "{error}");
}

/// The fixtures come from PyTorch 2.15: `base` is `arange(24).reshape(4, 6) / 8 - 1`.
#[test]
fn files_of_pytorch_itself() {
    let base = |row: usize, column: usize| (row * 6 + column) as f32 / 8.0 - 1.0;
    let grid = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>, factor: f32| -> Vec<f32> {
        rows.flat_map(|r| columns.clone().map(move |c| base(r, c) * factor)).collect()
    };
    let tied: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let transposed = (0..6).flat_map(|c| (0..4).map(move |r| base(r, c))).collect();
    let expected: [(&str, &[usize], Vec<f32>); 12] = [
        ("f32", &[4, 6], grid(0..4, 0..6, 1.0)),
        ("f16", &[4, 6], grid(0..4, 0..6, 2.0)),
        ("bf16", &[4, 6], grid(0..4, 0..6, 4.0)),
        ("f64", &[4, 6], grid(0..4, 0..6, 1.0)),
        ("tied.a", &[2, 3], tied.clone()),
        ("tied.b", &[2, 3], tied),
        ("view.transposed", &[6, 4], transposed),
        ("view.rows", &[2, 6], grid(1..3, 0..6, 1.0)),
        ("view.columns", &[4, 2], grid(0..4, 2..4, 1.0)),
        ("view.expanded", &[3, 6], [grid(0..1, 0..6, 1.0), grid(0..1, 0..6, 1.0), grid(0..1, 0..6, 1.0)].concat()),
        ("empty", &[0, 3], vec![]),
        ("parameter", &[6], grid(0..1, 0..6, 1.0)),
    ];
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for file in ["torch_state_dict.bin", "torch_state_dict_legacy.bin"] {
        let checkpoint = Checkpoint::open_files(file.into(), vec![data.join(file)]).unwrap();
        assert_eq!(checkpoint.names().len(), expected.len() + 1);
        for (name, shape, values) in &expected {
            assert_eq!(checkpoint.shape(name, &[]).as_deref(), Some(*shape), "{file}: {name}");
            for dtype in Dtype::ALL {
                // Every value is a small multiple of 1/8, which all three types hold exactly.
                let found: TensorData = checkpoint.read(name, shape, dtype).unwrap();
                assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), *values, "{file}: {name} as {dtype}");
            }
        }
        let error = checkpoint.read("ids", &[5], Dtype::F32).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("ids") && error.contains("I64"), "{error}");
    }
}
