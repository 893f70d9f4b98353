//! Configurations: the golden files, files like the published ones, and every way a file can be wrong.

#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod rope;

use std::path::{Path, PathBuf};

use longvu_checkpoint::config::{
    Dinov2Config, LanguageModel, LongVuConfig, PreprocessorConfig, SiglipConfig, TowerFamily, TowerRef,
};
use serde_json::{Map, Value, json};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoint").join(name)
}

/// Writes `value` as a file and hands its path to `test`.
fn with_file<T>(value: &Value, test: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, value.to_string()).unwrap();
    test(&path)
}

fn read(value: &Value) -> Result<LongVuConfig, String> {
    with_file(value, |path| LongVuConfig::read(path).map_err(|e| e.to_string()))
}

/// The keys of `Vision-CAIR/LongVU_Qwen2_7B`.
fn qwen2_7b() -> Value {
    json!({
        "architectures": ["CambrianQwenForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
        "connect_layer": 2, "connector_depth": 3, "connector_only": true, "dino_threshold": 0.83,
        "drop_threshold": 0.7, "eos_token_id": 151645, "frame_pos": false, "freeze_mm_mlp_adapter": false,
        "hidden_act": "silu", "hidden_size": 3584, "highres": true, "highres_connect": false,
        "image_aspect_ratio": "pad", "image_token_len": 144, "initializer_range": 0.02,
        "intermediate_size": 18944, "is_image_newline": true, "lowres_token": 8,
        "max_position_embeddings": 32768, "max_window_layers": 28, "mm_projector_type": "sva",
        "mm_vision_select_layer": -2,
        "mm_vision_tower_aux_list": ["siglip/CLIP-ViT-SO400M-14-384", "facebook/dinov2-giant-res378"],
        "mm_vision_tower_aux_token_len_list": [576, 576], "model_type": "cambrian_qwen",
        "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "num_query_group": 1,
        "query_num_list": [144], "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 131072,
        "tie_word_embeddings": false, "tokenizer_model_max_length": 8192, "torch_dtype": "bfloat16",
        "use_cache": false, "use_sliding_window": false, "vision_hidden_size": 1024, "vocab_size": 152064
    })
}

/// The keys of a Llama-3.2 model of the given sizes; its `rope_scaling` carries both spellings of the type.
fn llama(hidden: usize, heads: usize, layers: usize, feed_forward: usize) -> Value {
    let mut value = qwen2_7b();
    let llama = json!({
        "model_type": "cambrian_llama", "attention_bias": false, "mlp_bias": false, "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009], "hidden_size": hidden, "num_attention_heads": heads,
        "num_hidden_layers": layers, "intermediate_size": feed_forward, "num_key_value_heads": 8,
        "head_dim": hidden / heads, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256,
        "rope_scaling": {
            "type": "llama3", "rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0,
            "low_freq_factor": 1.0, "original_max_position_embeddings": 8192
        }
    });
    value.as_object_mut().unwrap().extend(llama.as_object().unwrap().clone());
    value
}

fn set(mut value: Value, changes: Value) -> Value {
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    value
}

#[test]
fn golden_configurations_are_read() {
    for (folder, family) in [("longvu_qwen", LanguageModel::Qwen2), ("longvu_llama", LanguageModel::Llama)] {
        let config = LongVuConfig::read(&golden(folder).join("config.json")).unwrap();
        assert_eq!(config.language_model(), family);
        assert_eq!((config.decoder.hidden_size, config.decoder.kv_heads(), config.decoder.head_size()), (64, 2, 16));
        assert_eq!((config.query_side(), config.feature_side(), config.lowres_token), (12, 24, 8));
        assert_eq!((config.inference_max_length, config.tokenizer_model_max_length), (16, 1024));
        let towers = config.towers().unwrap();
        assert_eq!((towers[0].family, towers[0].resolution), (TowerFamily::Siglip, None));
        assert_eq!((towers[1].family, towers[1].resolution), (TowerFamily::Dinov2, Some(378)));
        // The name fixes DINOv2's side, though its own file says 224; SigLIP's comes from its file.
        for (tower, folder, side) in [(&towers[0], "siglip", 384), (&towers[1], "dinov2", 378)] {
            let pixels = PreprocessorConfig::read(&golden(folder).join("preprocessor_config.json"), tower).unwrap();
            assert_eq!(pixels, PreprocessorConfig::published(tower.family, side));
        }
    }
    let dino = Dinov2Config::read(&golden("dinov2/config.json")).unwrap();
    assert_eq!((dino.hidden_size, dino.intermediate_size(), dino.position_side()), (32, 88, 37));
    let siglip = SiglipConfig::read(&golden("siglip/config.json")).unwrap();
    assert_eq!((siglip.hidden_size, siglip.intermediate_size, siglip.patch_side()), (32, 64, 27));
}

#[test]
fn a_dinov2_without_a_resolution_in_its_name_follows_its_file() {
    let tower: TowerRef = "facebook/dinov2-giant".parse().unwrap();
    let pixels = PreprocessorConfig::read(&golden("dinov2/preprocessor_config.json"), &tower).unwrap();
    assert_eq!(pixels.size, 224);
}

#[test]
fn published_sizes_are_read() {
    let config = read(&qwen2_7b()).unwrap();
    assert!(config.language_model().has_qkv_bias());
    assert_eq!((config.decoder.head_size(), config.drop_threshold), (128, 0.7));
    assert_eq!(config.decoder.kv_bytes_per_position(2), 2 * 28 * 4 * 128 * 2);
    assert_eq!(config.decoder.eos_token_id.unwrap().as_slice(), [151_645]);

    for (value, head) in [(llama(3072, 24, 28, 8192), 128), (llama(2048, 32, 16, 8192), 64)] {
        let config = read(&value).unwrap();
        let scaling = config.decoder.rope_scaling.as_ref().unwrap();
        assert_eq!((scaling.kind(), scaling.factor), ("llama3", 32.0));
        assert_eq!((config.decoder.head_size(), config.decoder.tie_word_embeddings), (head, true));
        assert_eq!(config.decoder.eos_token_id.unwrap().as_slice(), [128_001, 128_008, 128_009]);
    }
    // Files from before `rope_type` existed, and image-stage models.
    let older = json!({"model_type": "cambrian_llama", "rope_scaling": {"type": "llama3", "factor": 8.0, "high_freq_factor": 4.0,
        "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}});
    assert_eq!(read(&set(qwen2_7b(), older)).unwrap().decoder.rope_scaling.unwrap().kind(), "llama3");
    let image_stage = json!({"image_token_len": 576, "query_num_list": [576]});
    assert_eq!(read(&set(qwen2_7b(), image_stage)).unwrap().query_side(), 24);
}

#[test]
fn towers_as_published_are_read() {
    let two_towers = json!({
        "architectures": ["SiglipModel"], "initializer_factor": 1.0, "model_type": "siglip",
        "text_config": {"hidden_size": 1152, "intermediate_size": 4304, "model_type": "siglip_text_model"},
        "vision_config": {"hidden_size": 1152, "image_size": 384, "intermediate_size": 4304,
            "model_type": "siglip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14}
    });
    let siglip = with_file(&two_towers, |path| SiglipConfig::read(path).unwrap());
    assert_eq!((siglip.hidden_size, siglip.num_hidden_layers, siglip.patch_side()), (1152, 27, 27));

    let base = json!({"model_type": "dinov2", "hidden_act": "gelu", "hidden_size": 768, "image_size": 518,
        "mlp_ratio": 4, "num_attention_heads": 12, "num_hidden_layers": 12, "patch_size": 14, "use_swiglu_ffn": false});
    let dino = with_file(&base, |path| Dinov2Config::read(path).unwrap());
    assert_eq!((dino.use_swiglu_ffn, dino.intermediate_size(), dino.qkv_bias), (false, 3072, true));
}

#[test]
fn null_means_absent_where_there_is_a_default() {
    let optional = [
        "connector_depth",
        "connector_only",
        "dino_threshold",
        "drop_threshold",
        "highres",
        "frame_pos",
        "image_token_len",
        "inference_max_length",
        "lowres_token",
        "mm_projector_type",
        "num_query_group",
        "num_key_value_heads",
        "head_dim",
        "rope_theta",
        "rope_scaling",
        "tie_word_embeddings",
        "attention_bias",
        "mlp_bias",
        "hidden_act",
        "max_position_embeddings",
        "use_sliding_window",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "torch_dtype",
    ];
    let nulls: Map<String, Value> = optional.iter().map(|&key| (key.into(), Value::Null)).collect();
    let with_nulls = read(&set(qwen2_7b(), Value::Object(nulls.clone()))).unwrap();
    let mut absent = qwen2_7b();
    absent.as_object_mut().unwrap().retain(|key, _| !optional.contains(&key.as_str()));
    assert_eq!(with_nulls, read(&absent).unwrap());
    assert_eq!(with_nulls.inference_max_length, 16);
    // The same through an override, which takes the file's value away.
    let overridden = with_file(&qwen2_7b(), |path| LongVuConfig::read_with(path, &nulls).unwrap());
    assert_eq!(overridden, with_nulls);

    let dino = json!({"model_type": null, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1,
        "qkv_bias": null, "mlp_ratio": null, "use_swiglu_ffn": null});
    assert!(with_file(&dino, |path| Dinov2Config::read(path).unwrap()).qkv_bias);
    let pixels = json!({"size": {"height": 384, "width": 384, "shortest_edge": null}, "crop_size": null,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    let tower: TowerRef = "google/siglip-so400m-patch14-384".parse().unwrap();
    assert_eq!(with_file(&pixels, |path| PreprocessorConfig::read(path, &tower).unwrap()).size, 384);
}

#[test]
fn a_wrong_longvu_value_is_an_error_that_names_file_and_key() {
    let scaling = |changes: Value| {
        let base = json!({"rope_type": "llama3", "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192});
        json!({"model_type": "cambrian_llama", "rope_scaling": set(base, changes)})
    };
    let cases = [
        (json!({"model_type": "llava"}), "`model_type` is `llava`; a LongVU model has `cambrian_qwen`"),
        (json!({"model_type": null}), "`model_type`"),
        (json!({"image_token_len": 576}), "144 and 576 mixed up"),
        (json!({"query_num_list": [576]}), "144 and 576 mixed up"),
        (json!({"query_num_list": []}), "`query_num_list`"),
        (json!({"query_num_list": [144, 36]}), "`query_num_list`"),
        (json!({"query_num_list": [145]}), "`query_num_list`"),
        (json!({"query_num_list": [100], "image_token_len": 100}), "`query_num_list`"),
        (json!({"query_num_list": null}), "missing field `query_num_list`"),
        (json!({"num_query_group": 2}), "`num_query_group`"),
        (json!({"mm_projector_type": "mlp2x_gelu"}), "`mm_projector_type` is `mlp2x_gelu`"),
        (json!({"connector_only": false}), "`connector_only`"),
        (json!({"connector_depth": 0}), "`connector_depth`"),
        (json!({"lowres_token": 13}), "`lowres_token`"),
        (json!({"lowres_token": 0}), "`lowres_token`"),
        (json!({"vision_hidden_size": 1000}), "`vision_hidden_size`"),
        (json!({"mm_vision_tower_aux_token_len_list": [576, 144]}), "`mm_vision_tower_aux_token_len_list`"),
        (json!({"mm_vision_tower_aux_token_len_list": [577, 577]}), "`mm_vision_tower_aux_token_len_list`"),
        (json!({"mm_vision_tower_aux_list": ["openai/clip", "facebook/dinov2-giant"]}), "names no known tower"),
        (json!({"mm_vision_tower_aux_list": ["facebook/dinov2-giant", "siglip/x"]}), "`mm_vision_tower_aux_list`"),
        (json!({"mm_vision_tower_aux_list": ["siglip/x"]}), "`mm_vision_tower_aux_list`"),
        (json!({"mm_vision_tower_aux_list": "siglip/x"}), "`mm_vision_tower_aux_list`"),
        (json!({"tokenizer_model_max_length": 16}), "`tokenizer_model_max_length`"),
        (json!({"tokenizer_model_max_length": null}), "missing field `tokenizer_model_max_length`"),
        (json!({"hidden_size": null}), "missing field `hidden_size`"),
        (json!({"hidden_size": 0}), "`hidden_size` must be at least 1"),
        (json!({"hidden_size": "3584"}), "`hidden_size`: invalid type"),
        (json!({"vocab_size": -1}), "`vocab_size`: invalid value"),
        (json!({"vocab_size": 1u64 << 40}), "`vocab_size`"),
        (json!({"num_hidden_layers": 1 << 20}), "`num_hidden_layers`"),
        (json!({"num_attention_heads": 0}), "`num_attention_heads`"),
        (json!({"num_attention_heads": 30}), "`num_attention_heads`"),
        (json!({"num_key_value_heads": 3}), "`num_key_value_heads`"),
        (json!({"num_key_value_heads": 0}), "`num_key_value_heads`"),
        (json!({"head_dim": 127}), "127 channels"),
        (json!({"hidden_act": "gelu"}), "`hidden_act` is `gelu`"),
        (json!({"use_sliding_window": true}), "`use_sliding_window`"),
        (json!({"rope_theta": 0}), "`rope_theta`"),
        (json!({"eos_token_id": "</s>"}), "`eos_token_id`"),
        (scaling(json!({"rope_type": "yarn"})), "`rope_scaling` of type `yarn`"),
        (scaling(json!({"factor": null})), "`rope_scaling` of type llama3 needs `factor`"),
        (scaling(json!({"high_freq_factor": 1.0})), "`high_freq_factor`"),
        (scaling(json!({"original_max_position_embeddings": 0})), "`original_max_position_embeddings`"),
    ];
    for (changes, expected) in cases {
        let error = read(&set(qwen2_7b(), changes.clone())).expect_err(&changes.to_string());
        assert!(error.contains("config.json") && error.contains(expected), "{changes}: {error}");
    }
}

#[test]
fn a_wrong_tower_value_is_an_error_that_names_file_and_key() {
    let dino = json!({"model_type": "dinov2", "hidden_size": 768, "image_size": 518, "num_attention_heads": 12,
        "num_hidden_layers": 12, "patch_size": 14});
    let cases = [
        (json!({"model_type": "vit"}), "`model_type` is `vit`"),
        (json!({"num_attention_heads": 7}), "`num_attention_heads`"),
        (json!({"num_attention_heads": 0}), "`num_attention_heads`"),
        (json!({"patch_size": 0}), "`patch_size`"),
        (json!({"image_size": 13}), "`image_size`"),
        (json!({"num_hidden_layers": 0}), "`num_hidden_layers`"),
        (json!({"num_channels": 1}), "`num_channels`"),
        (json!({"mlp_ratio": -1}), "`mlp_ratio`"),
        (json!({"hidden_act": "relu"}), "`hidden_act` is `relu`"),
        (json!({"layer_norm_eps": -1.0}), "`layer_norm_eps`"),
        (json!({"hidden_size": [768]}), "`hidden_size`: invalid type"),
    ];
    for (changes, expected) in cases {
        let error = with_file(&set(dino.clone(), changes.clone()), Dinov2Config::read).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("config.json") && error.contains(expected), "{changes}: {error}");
    }
    let siglip = json!({"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16});
    let cases = [
        (json!({"model_type": "clip"}), "`model_type` is `clip`"),
        (json!({"model_type": "siglip"}), "`vision_config` is missing"),
        (json!({"hidden_size": 1150}), "`hidden_size`"),
        (json!({"hidden_act": "gelu"}), "`hidden_act` is `gelu`"),
        (json!({"intermediate_size": 0}), "`intermediate_size`"),
        (json!({"patch_size": 0}), "`patch_size`"),
        (json!({"num_channels": 4}), "`num_channels`"),
    ];
    for (changes, expected) in cases {
        let error = with_file(&set(siglip.clone(), changes.clone()), SiglipConfig::read).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("config.json") && error.contains(expected), "{changes}: {error}");
    }
    let tower: TowerRef = "siglip/CLIP-ViT-SO400M-14-384".parse().unwrap();
    let pixels = json!({"size": 384, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    for (changes, expected) in [
        (json!({"size": null}), "`size` states no square"),
        (json!({"size": {"height": 384, "width": 380}}), "`size` states no square"),
        (json!({"size": {"longest": 384}}), "`size`"),
        (json!({"image_std": [0.5, 0.0, 0.5]}), "`image_std`"),
        (json!({"image_mean": [0.5]}), "`image_mean`"),
        (json!({"image_mean": null}), "`image_mean`"),
    ] {
        let wrong = set(pixels.clone(), changes.clone());
        let error = with_file(&wrong, |path| PreprocessorConfig::read(path, &tower)).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains(expected), "{changes}: {error}");
    }
}

#[test]
fn files_that_are_no_configuration_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let error = LongVuConfig::read(&path).unwrap_err().to_string();
    assert!(error.contains("config.json not found"), "{error}");
    for text in ["", "{", "[1]", "null", "{\"model_type\": \"cambrian_qwen\",}", "version https://git-lfs"] {
        std::fs::write(&path, text).unwrap();
        let error = LongVuConfig::read(&path).unwrap_err().to_string();
        assert!(error.contains("config.json"), "{text}: {error}");
    }
    std::fs::write(&path, b"\xff\xfe\x00").unwrap();
    assert!(LongVuConfig::read(&path).unwrap_err().to_string().contains("config.json"));
    assert!(LongVuConfig::read(folder.path()).is_err(), "a folder is no file");
}

#[test]
fn a_setting_that_nothing_reads_cannot_be_replaced() {
    let replace = |changes: Value| {
        let changes = changes.as_object().unwrap().clone();
        with_file(&qwen2_7b(), |path| LongVuConfig::read_with(path, &changes).map_err(|error| error.to_string()))
    };
    for (changes, expected) in [
        (json!({"dino_thresholds": 0.5}), "`dino_thresholds` cannot be replaced"),
        (json!({"dino_thresholds": 0.5}), "is `dino_threshold` meant?"),
        (json!({"hiddensize": null}), "`hidden_size`"),
        (json!({"colour": "red"}), "no part of LongVU reads a key of that name"),
        // The file may have it: it has no effect there either.
        (json!({"max_window_layers": 3}), "`max_window_layers`"),
        (json!({"\u{1b}[31m": 3}), r"\u{1b}[31m"),
    ] {
        let error = replace(changes).unwrap_err();
        assert!(error.contains(expected) && error.contains("config.json"), "{error}");
    }
    let all = json!({"dino_threshold": 0.5, "rope_parameters": {"rope_theta": 7.0}, "dtype": "float16", "head_dim": 128,
        "layer_types": ["full_attention"], "partial_rotary_factor": 1.0, "model_type": "cambrian_llama"});
    let config = replace(all).unwrap();
    assert_eq!((config.dino_threshold, config.decoder.rope_theta), (0.5, 7.0));
    assert_eq!(config.torch_dtype.as_deref(), Some("float16"));
}

#[test]
fn an_error_tells_the_place_within_a_key() {
    for (changes, place) in [
        (json!({"query_num_list": [144, "x"]}), "`query_num_list[1]`"),
        (
            json!({"model_type": "cambrian_llama", "rope_scaling": {"rope_type": "llama3", "factor": "x"}}),
            "`rope_scaling.factor`",
        ),
    ] {
        let error = read(&set(qwen2_7b(), changes)).unwrap_err();
        assert!(error.contains(&format!("{place}: invalid type")), "{error}");
    }
}
