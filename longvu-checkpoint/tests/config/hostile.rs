//! Configurations that are made to do harm, or that other programs wrote in their own way.

use std::path::Path;

use longvu_checkpoint::{
    Limits,
    config::{Dinov2Config, LongVuConfig, PreprocessorConfig, SiglipConfig, TowerRef},
};
use longvu_core::text::chain;
use serde_json::{Map, Value, json};

use crate::{qwen2_7b, read, set, with_file};

fn with_bytes<T>(bytes: &[u8], test: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, bytes).unwrap();
    test(&path)
}

#[test]
fn a_file_as_python_or_an_editor_writes_it_is_the_same_model() {
    let expected = read(&qwen2_7b()).unwrap();
    let text = qwen2_7b().to_string();
    let odd = text.replacen('{', r#"{"ratio": Infinity, "nested": {"a": [NaN, -Infinity, 1e999]}, "#, 1);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in
        [odd.into_bytes(), [b"\xEF\xBB\xBF", text.as_bytes()].concat(), [b"\xFF\xFE", &wide[..]].concat(), wide]
    {
        assert_eq!(with_bytes(&bytes, |path| LongVuConfig::read(path).unwrap()), expected);
    }
    // A number that is needed is not guessed.
    for key in ["rms_norm_eps", "dino_threshold", "rope_theta"] {
        let mut value = qwen2_7b();
        value[key] = json!(12.5);
        let text = value.to_string().replace("12.5", "Infinity");
        let error = with_bytes(text.as_bytes(), |path| LongVuConfig::read(path).unwrap_err().to_string());
        assert!(error.contains(&format!("`{key}`")) && error.contains("Infinity"), "{error}");
        value[key] = json!(1e300);
        let error = read(&value).unwrap_err();
        assert!(error.contains(&format!("`{key}`")) && error.contains("out of range"), "{error}");
    }
}

#[test]
fn sizes_that_no_model_has_are_refused_by_name() {
    let most = 1u64 << 60;
    let keys = [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
        "max_position_embeddings",
        "tokenizer_model_max_length",
        "image_token_len",
        "vision_hidden_size",
        "connector_depth",
        "lowres_token",
        "num_query_group",
        "inference_max_length",
    ];
    for key in keys {
        for value in [most, u64::MAX] {
            let error = read(&set(qwen2_7b(), json!({ key: value }))).expect_err(key);
            assert!(error.contains(&format!("`{key}`")), "{key}: {error}");
        }
    }
    for key in ["query_num_list", "mm_vision_tower_aux_token_len_list"] {
        let error = read(&set(qwen2_7b(), json!({ key: [most, most] }))).expect_err(key);
        assert!(error.contains(&format!("`{key}` is {most}, more than the 16384")), "{error}");
    }
    let error = read(&set(qwen2_7b(), json!({"vocab_size": 738_197_504}))).unwrap_err();
    assert!(error.contains("`vocab_size` is 738197504, more than the 2097152"), "{error}");
    for side in [8193u64, 8_589_934_592] {
        let towers = json!({"mm_vision_tower_aux_list": ["siglip", format!("dinov2-res{side}")]});
        let error = read(&set(qwen2_7b(), towers)).unwrap_err();
        assert!(error.contains("`mm_vision_tower_aux_list`") && error.contains(&format!("{side} pixels")), "{error}");
    }
    // Each size alone would do.
    let together = json!({"vocab_size": 1 << 21, "hidden_size": 3584 * 1024, "num_attention_heads": 28 * 1024});
    let error = read(&set(qwen2_7b(), together)).unwrap_err();
    assert!(error.contains("parameters") && error.contains("1099511627776 are allowed"), "{error}");
}

#[test]
fn towers_of_sizes_that_none_has_are_refused_by_name() {
    let dino = json!({"model_type": "dinov2", "hidden_size": 768, "image_size": 518, "num_attention_heads": 12,
        "num_hidden_layers": 12, "patch_size": 14});
    let siglip = json!({"model_type": "siglip_vision_model", "hidden_size": 1152, "num_attention_heads": 16});
    let most = 1u64 << 60;
    let mut cases: Vec<(Value, &str)> =
        ["hidden_size", "num_hidden_layers", "image_size"].map(|key| (json!({ key: most }), key)).into();
    cases.push((json!({"image_size": 8192, "patch_size": 1}), "67108864 patches"));
    cases.push((json!({"hidden_size": 1 << 20, "num_attention_heads": 16, "num_hidden_layers": 4000}), "parameters"));
    for (changes, expected) in cases {
        let error = with_file(&set(dino.clone(), changes.clone()), Dinov2Config::read).unwrap_err().to_string();
        assert!(error.contains(expected), "{changes}: {error}");
        let error = with_file(&set(siglip.clone(), changes.clone()), SiglipConfig::read).unwrap_err().to_string();
        assert!(error.contains(expected), "{changes}: {error}");
    }
    let config = with_file(&dino, Dinov2Config::read).unwrap();
    for (side, fits) in [(0, false), (1, false), (13, false), (14, true), (378, true), (1792, true), (1806, false)] {
        let checked = config.check_input_side(Path::new("preprocessor_config.json"), side, &Limits::default());
        assert_eq!(checked.is_ok(), fits, "{side}: {checked:?}");
    }
    let pixels = json!({"size": 1u64 << 33, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    let tower: TowerRef = "siglip/CLIP-ViT-SO400M-14-384".parse().unwrap();
    for (changes, expected) in [
        (json!({}), "`size` is 8589934592"),
        (json!({"size": 384, "image_std": [1e-45, 0.5, 0.5]}), "`image_std`"),
        (json!({"size": 384, "image_mean": [1e300, 0.5, 0.5]}), "`image_mean`"),
    ] {
        let error = with_file(&set(pixels.clone(), changes), |path| PreprocessorConfig::read(path, &tower));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn limits_can_be_raised() {
    let value = set(qwen2_7b(), json!({"num_hidden_layers": 5000, "intermediate_size": 64}));
    assert!(read(&value).unwrap_err().contains("`num_hidden_layers` is 5000, more than the 4096"));
    let mut limits = Limits::default();
    limits.layers = 10_000;
    let config = with_file(&value, |path| LongVuConfig::read_within(path, &Map::new(), &limits)).unwrap();
    assert_eq!(config.decoder.num_hidden_layers, 5000);
}

#[test]
fn messages_do_not_move_the_cursor() {
    let hostile = "\u{1b}[31mx\u{7}\u{202e}";
    for changes in [
        json!({"model_type": hostile}),
        json!({"hidden_act": hostile}),
        json!({"mm_projector_type": hostile}),
        json!({"mm_vision_tower_aux_list": [hostile, "dinov2"]}),
        json!({"mm_vision_tower_aux_list": [format!("siglip{hostile}"), format!("dinov2-res1{hostile}"), "dinov2"]}),
        json!({"vocab_size": hostile}),
    ] {
        let error = read(&set(qwen2_7b(), changes.clone())).expect_err(&changes.to_string());
        assert!(error.contains("\\u{1b}") && !error.contains(char::is_control), "{error:?}");
        assert!(!error.contains('\u{202e}'), "{error:?}");
    }
}

#[test]
fn a_vast_file_is_refused_unread() {
    with_bytes(b"{", |path| {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(3 << 30).unwrap();
        let error = chain(&LongVuConfig::read(path).unwrap_err());
        assert!(error.contains("config.json") && error.contains("3221225472 bytes, more than the 4194304"), "{error}");
    });
}

#[test]
#[cfg(unix)]
fn a_pipe_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = chain(&LongVuConfig::read(&path).unwrap_err());
    assert!(error.contains("config.json") && error.contains("a named pipe"), "{error}");
}

#[test]
fn deep_nesting_is_an_error() {
    let text = format!("{{\"a\": {}", "[".repeat(1_000_000));
    let error = with_bytes(text.as_bytes(), |path| LongVuConfig::read(path).unwrap_err().to_string());
    assert!(error.contains("config.json") && error.contains("recursion limit"), "{error}");
}

#[test]
fn a_file_of_many_or_long_values_costs_neither_time_nor_a_long_message() {
    let keys: Map<String, Value> = (0..200_000).map(|i| (format!("k{i}"), json!(0))).collect();
    let many = set(set(qwen2_7b(), Value::Object(keys)), json!({"vocab_size": "x"}));
    let long = set(qwen2_7b(), json!({"model_type": "x".repeat(4_000_000)}));
    let list = set(qwen2_7b(), json!({"mm_vision_tower_aux_list": vec!["siglip"; 300_000]}));
    for (value, expected) in [(many, "invalid type"), (long, "`model_type`"), (list, "`mm_vision_tower_aux_list`")] {
        let start = std::time::Instant::now();
        let error = read(&value).unwrap_err();
        assert!(error.contains(expected) && error.len() < 5000, "{} bytes: {}", error.len(), &error[..200]);
        assert!(start.elapsed().as_secs() < 10, "{expected}");
    }
}
