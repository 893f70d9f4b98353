//! Odd and hostile tokenizers are errors that name their file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use longvu_llm::{ChatTemplate, Error, Limits, Tokenizer, load_eos_token_ids};
use serde_json::{Map, Value, json};

use common::checkpoint;

fn golden_json() -> Value {
    let text = std::fs::read_to_string(checkpoint("qwen").join("tokenizer.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn load(json: &str) -> Result<Tokenizer, Error> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), json).unwrap();
    let start = Instant::now();
    let loaded = Tokenizer::from_dir(dir.path());
    assert!(start.elapsed() < Duration::from_secs(10));
    loaded
}

/// What `error` and the causes below it say, as they say it.
fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut below = std::error::Error::source(error);
    while let Some(cause) = below {
        said += &format!(": {cause}");
        below = cause.source();
    }
    said
}

/// Changes the golden tokenizer, and returns why it is refused.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut json = golden_json();
    change(&mut json);
    let error = load(&json.to_string()).unwrap_err();
    assert!(matches!(error, Error::TokenizerFile { .. } | Error::TokenizerKind { .. }), "{error:?}");
    let message = said(&error);
    assert!(message.contains("tokenizer.json") && message.len() < 5000, "{message}");
    message
}

#[test]
fn kinds_of_steps_that_byte_level_bpe_has_not_are_named() {
    let bomb = json!({"type": "Sequence", "normalizers": vec![
        json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1000)}); 4]});
    for (normalizer, name) in [
        (json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}), "Precompiled"),
        (bomb, "Replace"),
        (json!({"type": "Prepend", "prepend": "a".repeat(1000)}), "Prepend"),
        (
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Sequence", "normalizers": []}]}),
            "Sequence",
        ),
    ] {
        let message = refused(|json| json["normalizer"] = normalizer);
        assert!(message.contains("normalizer") && message.contains(name), "{message}");
    }
    for (pre_tokenizer, name) in [
        (json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}), "Metaspace"),
        (json!({"type": "FixedLength", "length": 0}), "FixedLength"),
        (json!({"type": "Whitespace"}), "Whitespace"),
        (Value::Null, "0 steps"),
        (
            json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel", "add_prefix_space": false}); 2]}),
            "2 steps",
        ),
        (
            json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "Digits", "individual_digits": true}); 1000]}),
            "32",
        ),
        (json!({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}), "0 steps"),
    ] {
        let message = refused(|json| json["pre_tokenizer"] = pre_tokenizer);
        assert!(message.contains(name), "{message}");
    }
    for pattern in ["(", "(?<a>", "", &"a|".repeat(10_000)] {
        let message = refused(|json| json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(pattern));
        assert!(message.contains("pattern"), "{message}");
    }
    let message = refused(|json| json["post_processor"] = json!({"type": "Odd"}));
    assert!(message.contains("post_processor") && message.contains("Odd"), "{message}");
    let message = refused(|json| json["decoder"] = json!({"type": "Sequence", "decoders": [{"type": "Fuse"}]}));
    assert!(message.contains("Fuse"), "{message}");
}

#[test]
fn patterns_that_try_everything_come_to_an_end() {
    for pattern in [
        "a{1000}{1000}{1000}",
        "(a+)+$",
        "(?:a|a)*(?!\\S)b",
        "(a*)*\\1b",
        "(?=(a+))\\1*b",
        "(?:\\s+)+(?!\\S)x",
        "(?=a)*",
    ] {
        let mut json = golden_json();
        json["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!(pattern);
        let start = Instant::now();
        if let Ok(tokenizer) = load(&json.to_string()) {
            for text in ["a".repeat(3000), " ".repeat(3000)] {
                let _ = tokenizer.encode(&text);
            }
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{pattern} took {:?}", start.elapsed());
    }
}

#[test]
fn a_post_processor_that_contradicts_itself_is_refused() {
    let template =
        |single: Value| json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {}});
    for (single, part) in [
        (json!([{"Sequence": {"id": "B", "type_id": 2_147_483_648_u32}}]), "\"B\""),
        (json!([{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]), "2 times"),
        (json!([]), "0 times"),
        (json!([{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]), "<s>"),
    ] {
        let message = refused(|json| json["post_processor"] = template(single));
        assert!(message.contains("post_processor") && message.contains(part), "{message}");
    }
    // What Llama 3 has is fine.
    let mut json = golden_json();
    json["post_processor"] = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|b|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [], "special_tokens": {"<|b|>": {"id": "<|b|>", "ids": [1], "tokens": ["<|b|>"]}}}]});
    let ids = load(&json.to_string()).unwrap().encode("Why?").unwrap();
    assert_eq!(ids, common::tokenizer("qwen").encode("Why?").unwrap(), "no token is added");
}

#[test]
fn models_that_cut_texts_otherwise_are_refused() {
    for (key, value, part) in [
        ("continuing_subword_prefix", json!("a".repeat(100)), "continuing_subword_prefix"),
        ("end_of_word_suffix", json!("</w>"), "end_of_word_suffix"),
        ("dropout", json!(0.1), "dropout"),
        ("dropout", json!(-1), "dropout"),
        ("type", json!("Unigram"), "Unigram"),
        ("merges", json!([["a", "never seen"]]), "never seen"),
        ("merges", json!(["a b c"]), "a b c"),
        ("merges", json!(["ab"]), "ab"),
        ("merges", json!([["a"]]), "length"),
        ("merges", json!({}), "map"),
        ("vocab", json!([]), "map"),
        ("vocab", json!({"a": -1}), "-1"),
        ("vocab", json!({"a": 4_294_967_296_u64}), "4294967296"),
    ] {
        let message = refused(|json| json["model"][key] = value);
        assert!(message.contains(part), "{key}: {message}");
    }
    // Two parts whose whole is no token.
    let message = refused(|json| json["model"]["merges"] = json!([["z", "\u{120}"]]));
    assert!(message.contains("merge") && message.contains("\"z\u{120}\""), "{message}");
    // Harmless, for every byte has a token.
    for (key, value) in [
        ("byte_fallback", json!(true)),
        ("unk_token", json!("absent")),
        ("fuse_unk", json!(true)),
        ("dropout", json!(0.0)),
    ] {
        let mut json = golden_json();
        json["model"][key] = value;
        let ids = load(&json.to_string()).unwrap().encode("größer 1234").unwrap();
        assert_eq!(ids, common::tokenizer("qwen").encode("größer 1234").unwrap(), "{key}");
    }
}

#[test]
fn vocabularies_that_lose_or_mix_up_tokens_are_refused() {
    let message = refused(|json| {
        json["model"]["vocab"].as_object_mut().unwrap().remove("x");
        json["model"]["merges"] = json!([]);
    });
    assert!(message.contains("1 of the 256 bytes") && message.contains("0x78"), "{message}");
    let message = refused(|json| json["model"]["vocab"]["x"] = json["model"]["vocab"]["y"].clone());
    assert!(message.contains("\"x\" and \"y\" both"), "{message}");
    let message = refused(|json| json["model"]["vocab"]["x"] = json!(4_000_000_000_u32));
    assert!(message.contains("4000000000") && message.contains("1048576"), "{message}");
    let message = refused(|json| json["added_tokens"][0]["id"] = json!(4_294_967_295_u32));
    assert!(message.contains("4294967295") && message.contains("<|endoftext|>"), "{message}");
    let message = refused(|json| json["added_tokens"][0]["id"] = json!(4));
    assert!(message.contains("both have the id 4"), "{message}");
    let message = refused(|json| json["added_tokens"][0]["content"] = json!("x"));
    assert!(message.contains("\"x\" as token 411"), "{message}");
    let message = refused(|json| json["added_tokens"][0]["content"] = json!("\u{1b}[2J".repeat(2_000_000)));
    assert!(message.contains("added tokens"), "{message}");
    let message = refused(|json| json["version"] = json!("2.0"));
    assert!(message.contains("2.0"), "{message}");
    for gone in ["model", "decoder"] {
        refused(|json| drop(json.as_object_mut().unwrap().remove(gone)));
    }
    // Text of the file does not reach a terminal as it is.
    let message = refused(|json| json["model"]["merges"] = json!([["\u{1b}[2J\u{7}", "a"]]));
    assert!(message.contains("\\u{1b}[2J") && !message.contains('\u{1b}') && !message.contains('\u{7}'), "{message}");
}

#[test]
fn added_tokens_have_the_ids_that_the_file_gives_them() {
    let mut json = golden_json();
    // Out of order, and with ids left out between.
    json["added_tokens"].as_array_mut().unwrap().reverse();
    let mut far = json["added_tokens"][0].clone();
    (far["id"], far["content"]) = (json!(500), json!("<|far|>"));
    json["added_tokens"].as_array_mut().unwrap().insert(0, far);
    let tokenizer = load(&json.to_string()).unwrap();
    assert_eq!(tokenizer.token_to_id("<|far|>"), Some(500));
    assert_eq!(tokenizer.token_to_id("<|im_end|>"), Some(413));
    assert_eq!(tokenizer.encode("<|im_end|><|far|>").unwrap(), [413, 500]);
    assert_eq!(tokenizer.decode(&[500], false).unwrap(), "<|far|>");
}

#[test]
fn tokens_without_a_row_in_the_embedding_are_named() {
    let tokenizer = common::tokenizer("qwen");
    tokenizer.check_embedding(414).unwrap();
    let error = tokenizer.check_embedding(412).unwrap_err();
    assert!(
        matches!(&error, Error::TokenBeyondEmbedding { id: 412, rows: 412, count: 2, token } if token == "<|im_start|>")
    );
    let message = said(&error);
    assert!(message.contains("412") && message.contains("<|im_start|>"), "{message}");
    let mut json = golden_json();
    let mut added = json["added_tokens"][0].clone();
    (added["id"], added["content"]) = (json!(414), json!("<new>\u{1b}"));
    json["added_tokens"].as_array_mut().unwrap().push(added);
    let message = said(&load(&json.to_string()).unwrap().check_embedding(414).unwrap_err());
    assert!(message.contains("414") && message.contains("<new>\\u{1b}"), "{message}");
}

#[test]
fn patterns_of_other_published_models_are_read() {
    let text = "It's 12345 größere\n\n  Bälle, 日本!";
    for pre_tokenizer in [
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
        json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]}),
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
            {"type": "Split", "pattern": {"String": "ä"}, "behavior": "MergedWithNext", "invert": false},
            {"type": "Punctuation", "behavior": "Contiguous"},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}),
    ] {
        let mut json = golden_json();
        json["pre_tokenizer"] = pre_tokenizer;
        json["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]});
        let tokenizer = load(&json.to_string()).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
}

#[test]
#[cfg(unix)]
fn pipes_devices_and_vast_files_are_refused_at_once() {
    let every = [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
    ];
    for name in every {
        for kind in ["a named pipe", "a device", "a folder", "vast"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let bytes: Map<String, Value> = Map::new();
            for other in ["vocab.json", "merges.txt"] {
                std::fs::write(
                    dir.path().join(other),
                    if other == "vocab.json" { Value::Object(bytes.clone()).to_string() } else { String::new() },
                )
                .unwrap();
            }
            let _ = std::fs::remove_file(&path);
            match kind {
                "a named pipe" => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
                "a device" => std::os::unix::fs::symlink("/dev/zero", &path).unwrap(),
                "a folder" => std::fs::create_dir(&path).unwrap(),
                _ => std::fs::File::create(&path).unwrap().set_len(3 << 30).unwrap(),
            }
            let start = Instant::now();
            let error = first_error(dir.path(), name);
            assert!(start.elapsed() < Duration::from_secs(5), "{name} {kind}");
            let message = said(&error);
            assert!(matches!(error, Error::Read { .. }) && message.contains(name), "{kind}: {message}");
            assert!(message.contains(if kind == "vast" { "3221225472" } else { kind }), "{message}");
        }
    }
}

/// The error of what reads a file.
fn first_error(dir: &Path, name: &str) -> Error {
    match name {
        "chat_template.jinja" | "tokenizer_config.json" => ChatTemplate::for_llama(dir).map(|_| ()).unwrap_err(),
        "generation_config.json" => load_eos_token_ids(dir, &[]).unwrap_err(),
        "added_tokens.json" => {
            // Read once the vocabulary is.
            Tokenizer::from_dir(dir).unwrap_err()
        }
        _ => Tokenizer::from_dir(dir).unwrap_err(),
    }
}

#[test]
fn json_is_read_as_python_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let mark = "\u{feff}";
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("tokenizer.json", &format!("{mark}{}", golden_json()));
    assert_eq!(Tokenizer::from_dir(dir.path()).unwrap().vocab_size(), 414);
    write(
        "tokenizer_config.json",
        &format!(
            r#"{mark}{{"model_max_length": Infinity, "x": [NaN, -Infinity], "chat_template": "{{{{ 'NaN' }}}}"}}"#
        ),
    );
    let text = ChatTemplate::for_llama(dir.path()).unwrap().render(&[]).unwrap();
    assert_eq!(text, "NaN", "texts stay");
    write("chat_template.jinja", &format!("{mark}text"));
    assert_eq!(ChatTemplate::for_llama(dir.path()).unwrap().render(&[]).unwrap(), "text");
    write("generation_config.json", &format!(r#"{mark}{{"temperature": NaN, "eos_token_id": [7, 8]}}"#));
    assert_eq!(load_eos_token_ids(dir.path(), &[]).unwrap(), [7, 8]);
    write("generation_config.json", r#"{"eos_token_id": NaN}"#);
    let message = said(&load_eos_token_ids(dir.path(), &[]).unwrap_err());
    assert!(message.contains("generation_config.json"), "{message}");
}

#[test]
fn json_in_utf_16_and_numbers_of_python_are_read_in_every_file() {
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let text = golden_json().to_string();
    write("tokenizer.json", &utf_16(&text));
    let ids = common::tokenizer("qwen").encode("größer").unwrap();
    assert_eq!(Tokenizer::from_dir(dir.path()).unwrap().encode("größer").unwrap(), ids);
    write("tokenizer.json", text.replacen('{', r#"{"note": [NaN, -Infinity, 1e999], "#, 1).as_bytes());
    assert_eq!(Tokenizer::from_dir(dir.path()).unwrap().encode("größer").unwrap(), ids);
    write("tokenizer_config.json", &utf_16(r#"{"model_max_length": 1e999, "chat_template": "größe"}"#));
    assert_eq!(ChatTemplate::for_llama(dir.path()).unwrap().render(&[]).unwrap(), "größe");
    write("generation_config.json", &utf_16(r#"{"temperature": NaN, "eos_token_id": [7, 8]}"#));
    assert_eq!(load_eos_token_ids(dir.path(), &[]).unwrap(), [7, 8]);
    write("generation_config.json", b"{\"eos_token_id\": \"\xE9\"}");
    let message = said(&load_eos_token_ids(dir.path(), &[]).unwrap_err());
    assert!(message.contains("generation_config.json") && message.contains("UTF-8"), "{message}");
    let message = refused(|json| json["model"]["dropout"] = json!("\u{1b}[2J"));
    assert!(message.contains("dropout") || message.contains("\\u{1b}[2J"), "{message}");
    write("tokenizer.json", text.replace("\"dropout\":null", "\"dropout\":NaN").as_bytes());
    let message = said(&Tokenizer::from_dir(dir.path()).unwrap_err());
    assert!(message.contains("tokenizer.json") && message.contains("NaN") && message.contains("line 1"), "{message}");
}

#[test]
fn limits_can_be_changed() {
    let dir = checkpoint("qwen");
    let with = |limits: Limits| said(&Tokenizer::from_dir_with(&dir, &limits).unwrap_err());
    assert!(with(Limits::default().with_tokenizer_bytes(100)).contains("100 allowed"));
    assert!(with(Limits::default().with_vocabulary(413)).contains("414 tokens"));
    assert!(with(Limits::default().with_merges(10)).contains("merges"));
}

#[test]
fn texts_of_megabytes_are_refused_before_they_are_cut_up() {
    let folder = checkpoint("qwen");
    let tokenizer = Tokenizer::from_dir(&folder).unwrap();
    let long = "a".repeat((1 << 20) + 1);
    let error = tokenizer.encode(&long).unwrap_err();
    assert!(matches!(error, Error::TextTooLong { bytes: 1_048_577, limit: 1_048_576 }), "{error}");
    let small = Tokenizer::from_dir_with(&folder, &Limits::default().with_text_bytes(3)).unwrap();
    assert!(small.encode("four").is_err() && small.encode("two").is_ok());
}
