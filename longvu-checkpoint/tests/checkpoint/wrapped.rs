//! Tensors inside the dictionaries and wrappers of the programs that saved them.

use longvu_core::Dtype;

use crate::{pickle, support::*};

/// Tensors named as a tower's are.
fn tower() -> Tensors {
    let names =
        ["encoder.layer.0.norm1.weight", "encoder.layer.0.norm1.bias", "embeddings.cls_token", "layernorm.weight"];
    names.into_iter().map(str::to_owned).zip(small().into_values()).collect()
}

fn renamed(tensors: &Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(name, values)| (rename(name), values.clone())).collect()
}

#[test]
fn a_model_in_a_training_program_s_dictionary_is_found() {
    for wrapper in ["state_dict", "model_state_dict", "model", "module"] {
        for inner in ["", "module.", "_orig_mod.", "model.", "module._orig_mod."] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("pytorch_model.bin");
            pickle::write_wrapped(&path, &renamed(&tower(), |name| format!("{inner}{name}")), wrapper);
            check_folder(folder.path(), &tower(), Dtype::F32);
        }
    }
}

#[test]
fn prefixes_of_wrappers_are_taken_off_every_format() {
    for prefix in ["module.", "_orig_mod.", "base_model.model.", "model.", "state_dict.module."] {
        let longer = renamed(&tower(), |name| format!("{prefix}{name}"));
        let folder = tempfile::tempdir().unwrap();
        write_safetensors(&folder.path().join("model.safetensors"), &longer, Dtype::Bf16);
        check_folder(folder.path(), &tower(), Dtype::Bf16);
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join("pytorch_model.bin.index.json");
        write_shards(&index, &longer, 2, |path, part| pickle::write(path, part, Dtype::F32));
        check_folder(folder.path(), &tower(), Dtype::F32);
    }
    let inside = renamed(&tower(), |name| name.replace(".0.", ".0._fsdp_wrapped_module."));
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join("model.safetensors"), &inside, Dtype::F32);
    check_folder(folder.path(), &tower(), Dtype::F32);
}

/// A language model's own names begin with `model.`: with a wrapper and without.
#[test]
fn a_language_model_keeps_its_names() {
    let golden = tensors(&golden("checkpoint/longvu_qwen/model.safetensors"));
    for prefix in ["", "module.", "model.", "base_model.model."] {
        let folder = tempfile::tempdir().unwrap();
        let longer = renamed(&golden, |name| format!("{prefix}{name}"));
        write_safetensors(&folder.path().join("model.safetensors"), &longer, Dtype::F32);
        check_folder(folder.path(), &golden, Dtype::F32);
    }
}

#[test]
fn a_prefix_that_is_nobody_s_is_named() {
    for prefixes in [&["thinker."][..], &["ema.", "model."], &["visual/"]] {
        let folder = tempfile::tempdir().unwrap();
        let all = prefixes.iter().flat_map(|prefix| renamed(&tower(), |name| format!("{prefix}{name}")));
        write_safetensors(&folder.path().join("model.safetensors"), &all.collect(), Dtype::F32);
        let message = failure(folder.path(), &layout(&tower()));
        assert!(message.contains("4 missing") && !message.contains("every file"), "{message}");
        for prefix in prefixes {
            assert!(message.contains(&format!("`{prefix}`")), "{message}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join("model.safetensors"), &tower(), Dtype::F32);
    let message = failure(folder.path(), &layout(&renamed(&tower(), |name| format!("vision_model.{name}"))));
    assert!(message.contains("without `vision_model.`"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let adapted = renamed(&tower(), |name| name.replace("norm1.weight", "norm1.base_layer.weight"));
    write_safetensors(&folder.path().join("model.safetensors"), &adapted, Dtype::F32);
    assert!(failure(folder.path(), &layout(&tower())).contains("LoRA"));
}

#[test]
fn one_tensor_under_two_names_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut both = tower();
    both.extend(renamed(&tower(), |name| format!("_orig_mod.{name}")));
    write_safetensors(&folder.path().join("model.safetensors"), &both, Dtype::F32);
    let message = failure(folder.path(), &layout(&tower()));
    assert!(message.contains("_orig_mod.") && message.contains("one tensor"), "{message}");
}
