//! Rotary positions as versions 4 and 5 of transformers write them.

use longvu_checkpoint::config::LongVuConfig;
use serde_json::{Value, json};

use crate::{llama, qwen2_7b, read, set};

/// `value` as version 5 writes it: the rotary keys in `rope_parameters`, and `dtype`.
fn newer(mut value: Value) -> Value {
    let map = value.as_object_mut().unwrap();
    let mut rope = match map.remove("rope_scaling") {
        Some(Value::Object(scaling)) => scaling,
        _ => json!({"rope_type": "default"}).as_object().unwrap().clone(),
    };
    rope.remove("type");
    rope.extend(map.remove("rope_theta").map(|theta| ("rope_theta".to_owned(), theta)));
    map.insert("rope_parameters".into(), rope.into());
    let dtype = map.remove("torch_dtype").unwrap();
    map.insert("dtype".into(), dtype);
    value
}

fn rope(config: &LongVuConfig) -> (f64, Option<(String, [f64; 3], usize)>) {
    let scaling = config.decoder.rope_scaling.as_ref().filter(|scaling| scaling.kind() != "default").map(|s| {
        (s.kind().to_owned(), [s.factor, s.low_freq_factor, s.high_freq_factor], s.original_max_position_embeddings)
    });
    (config.decoder.rope_theta, scaling)
}

#[test]
fn both_versions_make_the_same_model() {
    for older in [qwen2_7b(), llama(3072, 24, 28, 8192)] {
        let expected = read(&older).unwrap();
        let renamed = newer(older.clone());
        let by_layer = set(
            renamed.clone(),
            json!({"rope_parameters": {"full_attention": renamed["rope_parameters"].clone()},
                "layer_types": vec!["full_attention"; 28]}),
        );
        let both =
            set(older.clone(), json!({"rope_parameters": renamed["rope_parameters"].clone(), "dtype": "bfloat16"}));
        // Version 5 also reads its own keys under the older name.
        let mut moved = renamed.clone();
        let parameters = moved.as_object_mut().unwrap().remove("rope_parameters").unwrap();
        moved["rope_scaling"] = parameters;
        for value in [renamed, by_layer, both, moved] {
            let config = read(&value).unwrap();
            assert_eq!(rope(&config), rope(&expected), "{value}");
            assert_eq!(config.torch_dtype.as_deref(), Some("bfloat16"));
        }
    }
    assert_eq!(rope(&read(&newer(qwen2_7b())).unwrap()), (1e6, None));
    let scaling = ("llama3".to_owned(), [32.0, 1.0, 4.0], 8192);
    assert_eq!(rope(&read(&newer(llama(2048, 32, 16, 8192))).unwrap()), (5e5, Some(scaling)));
}

#[test]
fn what_is_left_out_has_the_usual_value() {
    for parameters in [json!({}), json!({"rope_type": "default"}), json!({"rope_theta": null})] {
        let mut value = set(qwen2_7b(), json!({"rope_parameters": parameters}));
        assert_eq!(rope(&read(&value).unwrap()), (1e6, None), "the older key beside it");
        value.as_object_mut().unwrap().remove("rope_theta");
        assert_eq!(rope(&read(&value).unwrap()), (1e4, None));
    }
    let null = set(qwen2_7b(), json!({"rope_parameters": null, "rope_scaling": null, "partial_rotary_factor": 1.0}));
    assert_eq!(rope(&read(&null).unwrap()), (1e6, None));
}

/// What a user sets goes before the file, in the keys of either version.
#[test]
fn either_version_can_be_set_instead_of_the_file_s() {
    let llama = llama(2048, 32, 16, 8192);
    for file in [llama.clone(), newer(llama)] {
        let scaling = Some(("llama3".to_owned(), [32.0, 1.0, 4.0], 8192));
        for (overrides, expected) in [
            (json!({"rope_theta": 7.0}), (7.0, scaling.clone())),
            (json!({"rope_scaling": null}), (5e5, None)),
            (json!({"rope_parameters": {"rope_theta": 7.0}}), (7.0, None)),
            (json!({"rope_parameters": null}), (1e4, None)),
            (json!({"rope_parameters": null, "rope_theta": 7.0}), (7.0, None)),
            (json!({"layer_types": null, "dtype": "float16"}), (5e5, scaling)),
        ] {
            let file = set(file.clone(), json!({"layer_types": ["full_attention"]}));
            let read = |path: &std::path::Path| LongVuConfig::read_with(path, overrides.as_object().unwrap()).unwrap();
            assert_eq!(rope(&crate::with_file(&file, read)), expected, "{overrides}");
        }
    }
}

#[test]
fn keys_that_contradict_each_other_are_an_error() {
    let llama = || llama(3072, 24, 28, 8192);
    let scaling = llama()["rope_scaling"].clone();
    for (base, changes, expected) in [
        (qwen2_7b(), json!({"rope_parameters": {"rope_theta": 1e4}}), ["`rope_theta`", "`rope_parameters`"]),
        (llama(), json!({"rope_parameters": {"rope_type": "default"}}), ["`rope_scaling`", "`rope_parameters`"]),
        (llama(), json!({"rope_parameters": set(scaling.clone(), json!({"factor": 8.0}))}), ["`rope_scaling`", "8.0"]),
        (llama(), json!({"rope_scaling": set(scaling.clone(), json!({"type": "linear"}))}), ["`rope_type`", "`type`"]),
        (
            llama(),
            json!({"rope_scaling": set(scaling, json!({"rope_theta": 1.0}))}),
            ["`rope_theta`", "`rope_scaling`"],
        ),
        (qwen2_7b(), json!({"dtype": "float16"}), ["`torch_dtype`", "`dtype`"]),
    ] {
        let error = read(&set(base, changes.clone())).expect_err(&changes.to_string());
        assert!(
            error.contains("config.json") && expected.iter().all(|part| error.contains(part)),
            "{changes}: {error}"
        );
    }
}

#[test]
fn rotations_that_these_models_do_not_have_are_errors() {
    let kinds = ["yarn", "linear", "dynamic", "longrope", "su", "mrope", "proportional", "\u{1b}[31m"];
    for kind in kinds {
        for (base, family) in [(qwen2_7b(), "Qwen2"), (llama(2048, 32, 16, 8192), "llama3 is")] {
            for rope in [
                json!({"rope_scaling": {"type": kind, "factor": 4.0, "original_max_position_embeddings": 256}}),
                json!({"rope_scaling": {"rope_type": kind, "factor": 2.0, "mrope_section": [16, 24, 24]}}),
                json!({"rope_scaling": null, "rope_parameters": {"rope_type": kind, "short_factor": [1.0]}}),
                json!({"rope_scaling": null, "rope_parameters": {"full_attention": {"rope_type": kind}}}),
            ] {
                let error = read(&set(base.clone(), rope.clone())).expect_err(&rope.to_string());
                let kind = kind.escape_default().to_string();
                assert!(error.contains(&kind) && error.contains(family), "{rope}: {error}");
                assert!(error.contains("remove `rope_scaling`"), "{error}");
            }
        }
    }
    // Qwen2 as published ignores Llama's scaling, too.
    let scaling = llama(2048, 32, 16, 8192)["rope_scaling"].clone();
    let error = read(&set(qwen2_7b(), json!({"rope_scaling": scaling}))).unwrap_err();
    assert!(error.contains("`rope_scaling` of type `llama3`") && error.contains("Qwen2"), "{error}");
    for (changes, expected) in [
        (json!({"rope_parameters": {"partial_rotary_factor": 0.5}}), "`partial_rotary_factor` is 0.5"),
        (json!({"partial_rotary_factor": 0.25}), "`partial_rotary_factor` is 0.25"),
        (json!({"rope_scaling": {"type": "default", "mrope_section": [16, 24, 24]}}), "`mrope_section`"),
        (json!({"rope_parameters": {"sliding_attention": {"rope_theta": 1e6}}}), "`sliding_attention`"),
        (
            json!({"rope_parameters": {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}}),
            "`sliding_attention`",
        ),
        (json!({"layer_types": ["full_attention", "sliding_attention"]}), "`layer_types`"),
        (json!({"rope_parameters": "default"}), "`rope_parameters`"),
        (json!({"rope_scaling": {"type": 3}}), "`rope_type`"),
        (json!({"rope_scaling": {"factor": 8.0}}), "`factor` and no `rope_type`"),
        (json!({"rope_scaling": {"rope_type": null, "factor": 8.0}}), "`factor` and no `rope_type`"),
        (json!({"rope_scaling": {"rope_type": "default", "factor": 8.0}}), "`factor` and no `rope_type`"),
        (
            json!({"rope_parameters": {"rope_theta": 1e6, "low_freq_factor": 1.0}}),
            "`low_freq_factor` and no `rope_type`",
        ),
        (json!({"rope_theta": "Infinity"}), "`rope_theta`"),
    ] {
        let error = read(&set(qwen2_7b(), changes.clone())).expect_err(&changes.to_string());
        assert!(error.contains(expected), "{changes}: {error}");
    }
    // Nothing scaled is nothing lost.
    read(&set(qwen2_7b(), json!({"rope_scaling": {"rope_type": "default", "factor": 1.0}}))).unwrap();
}
