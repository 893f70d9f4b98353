//! A model of odd sizes with made-up weights: small on disk, and slow enough to be stopped on its way.

#![allow(dead_code)] // each test uses a part

pub mod http;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use longvu::{Dtype, LongVu, Watch, synthesize};
use serde_json::json;

/// A video of the test data, which stands beside this crate or where `LONGVU_TEST_VIDEOS` says.
pub fn video(name: &str) -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/videos");
    PathBuf::from(std::env::var("LONGVU_TEST_VIDEOS").unwrap_or_else(|_| beside.to_owned())).join(name)
}

/// The folder of the model.
pub fn folder() -> &'static Path {
    // A static is never dropped, so that a temporary folder would stay.
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedding");
        let _ = fs::remove_dir_all(&folder);
        let model = folder.join("model");
        fs::create_dir_all(&folder).unwrap();
        write(&folder, &model);
        model
    });
    &FOLDER
}

/// The model.
pub fn model() -> LongVu {
    static MODEL: LazyLock<LongVu> = LazyLock::new(|| LongVu::builder(folder()).load().unwrap());
    MODEL.clone()
}

fn write(folder: &Path, model: &Path) {
    let config = json!({
        "model_type": "cambrian_qwen", "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 16,
        "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 300, "rms_norm_eps": 1e-6,
        "tie_word_embeddings": true, "mm_vision_tower_aux_list": ["siglip", "dinov2-res224"],
        "mm_vision_tower_aux_token_len_list": [64, 64], "vision_hidden_size": 64, "query_num_list": [64],
        "connector_depth": 1, "image_token_len": 64, "lowres_token": 4, "highres": true,
        "tokenizer_model_max_length": 8192, "inference_max_length": 16
    });
    let siglip = json!({
        "model_type": "siglip_vision_model", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": 224, "patch_size": 14
    });
    let pixels =
        json!({ "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": { "height": 224, "width": 224 } });
    let dinov2 = json!({
        "model_type": "dinov2", "hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "mlp_ratio": 4,
        "use_swiglu_ffn": false, "image_size": 224, "patch_size": 14
    });
    let configs = folder.join("configs");
    for (path, value) in [
        ("config.json", &config),
        ("siglip/config.json", &siglip),
        ("siglip/preprocessor_config.json", &pixels),
        ("dinov2/config.json", &dinov2),
        ("dinov2/preprocessor_config.json", &pixels),
    ] {
        let path = configs.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }
    synthesize(&configs, model, Dtype::Bf16, &Watch::default()).unwrap();
}
