//! Loading tokenizers, and streaming their text.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::sync::LazyLock;

use longvu_core::text::chain;
use longvu_llm::{Error, TextStream, Tokenizer};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use common::{checkpoint, tokenizer};

static QWEN: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer("qwen"));

fn golden_json() -> Value {
    let text = std::fs::read_to_string(checkpoint("qwen").join("tokenizer.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// Writes the golden tokenizer's vocabulary as `vocab.json` and `merges.txt`.
fn write_bpe_files(dir: &Path) {
    let golden = golden_json();
    write(dir, "vocab.json", &golden["model"]["vocab"].to_string());
    let merges = golden["model"]["merges"].as_array().unwrap().iter();
    let lines: Vec<&str> = merges.map(|merge| merge.as_str().unwrap()).collect();
    write(dir, "merges.txt", &format!("#version: 0.2\n{}\n", lines.join("\n")));
}

#[test]
fn special_tokens_are_parsed_and_none_are_added() {
    let ids = QWEN.encode("<|im_start|>user\nHi<|im_end|>").unwrap();
    assert_eq!(ids[0], QWEN.token_to_id("<|im_start|>").unwrap());
    assert_eq!(ids.last().copied(), QWEN.token_to_id("<|im_end|>"));
    assert_eq!(QWEN.decode(&ids, true).unwrap(), "user\nHi");
    assert_eq!(QWEN.decode(&ids, false).unwrap(), "<|im_start|>user\nHi<|im_end|>");
    assert!(QWEN.encode("").unwrap().is_empty());
    assert_eq!(QWEN.vocab_size(), 414);
    assert_eq!(QWEN.special_tokens(), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
    assert_eq!(QWEN.end_of_turn_ids(), [413]);
    assert_eq!(tokenizer("llama").end_of_turn_ids(), [417]);
}

#[test]
fn truncation_and_padding_in_the_file_are_ignored() {
    let mut golden = golden_json();
    golden["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    golden["padding"] = json!({"strategy": {"Fixed": 100}, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 411, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "tokenizer.json", &golden.to_string());
    let text = "What happens in this video?";
    let ids = Tokenizer::from_dir(dir.path()).unwrap().encode(text).unwrap();
    assert_eq!(ids, QWEN.encode(text).unwrap());
}

#[test]
fn vocab_and_merges_give_the_same_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    write_bpe_files(dir.path());
    let texts = [
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n",
        "What's the ball's  colour, 1234?\r\n\n  Émile — 猫 🎬 ",
    ];
    let mut added = Map::new();
    let mut plain = Map::new();
    for token in golden_json()["added_tokens"].as_array().unwrap() {
        added.insert(token["id"].to_string(), token.clone());
        plain.insert(token["content"].as_str().unwrap().into(), token["id"].clone());
    }
    for (name, json) in [
        ("tokenizer_config.json", json!({ "added_tokens_decoder": added })),
        ("added_tokens.json", Value::Object(plain)),
    ] {
        write(dir.path(), name, &json.to_string());
        let loaded = Tokenizer::from_dir(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(name)).unwrap();
        assert_eq!(loaded.vocab_size(), QWEN.vocab_size());
        assert_eq!(loaded.special_tokens(), QWEN.special_tokens());
        for text in texts {
            let ids = loaded.encode(text).unwrap();
            assert_eq!(ids, QWEN.encode(text).unwrap(), "{text:?} with {name}");
            assert_eq!(loaded.decode(&ids, false).unwrap(), text);
        }
    }
}

#[test]
fn an_added_token_has_the_id_that_its_list_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    write_bpe_files(dir.path());
    write(dir.path(), "added_tokens.json", r#"{"<|im_start|>": 900}"#);
    let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
    assert_eq!(tokenizer.encode("<|im_start|>").unwrap(), [900]);
    assert!(tokenizer.check_embedding(900).is_err());
    write(dir.path(), "added_tokens.json", r#"{"<|im_start|>": 9}"#);
    let message = chain(&Tokenizer::from_dir(dir.path()).unwrap_err());
    assert!(message.contains("both have the id 9"), "{message}");
}

#[test]
fn a_missing_tokenizer_says_which_files_are_needed() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Tokenizer::from_dir(dir.path()).unwrap_err();
    let message = missing.to_string();
    assert!(matches!(missing, Error::TokenizerMissing { .. }));
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
    assert!(message.contains("tokenizer.json") && message.contains("merges.txt"), "{message}");

    let file = dir.path().join("elsewhere.json");
    let message = Tokenizer::from_file(&file).unwrap_err().to_string();
    assert!(message.contains("elsewhere.json"), "{message}");
}

#[test]
fn garbage_is_an_error_that_names_the_file() {
    for garbage in ["", "{", "[1, 2]", "{\"version\": \"1.0\"}", "\u{0}\u{1}"] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "tokenizer.json", garbage);
        let error = Tokenizer::from_dir(dir.path()).unwrap_err();
        assert!(matches!(error, Error::TokenizerFile { .. }), "{error:?}");
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
        assert!(error.to_string().contains("download"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "vocab.json", "[]");
    write(dir.path(), "merges.txt", "nothing of use");
    assert!(matches!(Tokenizer::from_dir(dir.path()), Err(Error::TokenizerFile { .. })));
}

#[test]
fn another_kind_of_tokenizer_is_refused() {
    for (decoder, name) in [(Value::Null, "absent"), (json!({"type": "Fuse"}), "Fuse")] {
        let mut golden = golden_json();
        golden["decoder"] = decoder;
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "tokenizer.json", &golden.to_string());
        let message = Tokenizer::from_dir(dir.path()).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("byte-level"), "{message}");
    }
}

#[test]
fn long_texts_without_a_place_to_cut_are_encoded() {
    for text in [" ".repeat(50_000), "a".repeat(50_000), "\n".repeat(50_000)] {
        let ids = QWEN.encode(&text).unwrap();
        assert_eq!(QWEN.decode(&ids, false).unwrap(), text);
    }
}

/// The pieces that a stream gives for ids, the last one from its end.
fn pieces(ids: &[u32], stops: &[String]) -> (Vec<String>, bool) {
    let mut stream = TextStream::new(&QWEN, stops);
    let mut pieces: Vec<String> = ids.iter().filter_map(|&id| stream.push(id)).collect();
    pieces.extend(stream.finish());
    (pieces, stream.is_stopped())
}

#[test]
fn a_character_of_several_tokens_comes_whole() {
    let ids = QWEN.encode("a🎬b").unwrap();
    assert!(ids.len() > 3, "the film clapper must not be one token here");
    assert_eq!(pieces(&ids, &[]).0, ["a", "🎬", "b"]);
}

#[test]
fn special_and_unknown_ids_give_no_text() {
    let special = QWEN.token_to_id("<|im_end|>").unwrap();
    assert!(pieces(&[special, 416, 4_000_000_000], &[]).0.is_empty());
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let ids = QWEN.encode("first\nUser: second").unwrap();
    let (text, stopped) = pieces(&ids, &["\nUser:".into()]);
    assert_eq!((text.concat().as_str(), stopped), ("first", true));
}

#[test]
fn a_stream_goes_on_giving_nothing_after_its_stop() {
    let mut stream = TextStream::new(&QWEN, &["b".into()]);
    let text: String = QWEN.encode("ab").unwrap().iter().filter_map(|&id| stream.push(id)).collect();
    assert_eq!(text, "a");
    assert!(stream.is_stopped());
    assert_eq!(stream.push(QWEN.encode("c").unwrap()[0]), None);
    assert_eq!(stream.finish(), None);
}

proptest! {
    #[test]
    fn pieces_together_are_the_decoded_text(ids in prop::collection::vec(0_u32..430, 0..200)) {
        let (pieces, stopped) = pieces(&ids, &[]);
        prop_assert!(!stopped);
        prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
        prop_assert_eq!(pieces.concat(), QWEN.decode(&ids, true).unwrap());
    }

    #[test]
    fn any_text_comes_back_character_by_character(text in any::<String>()) {
        let ids = QWEN.encode(&text).unwrap();
        let (pieces, _) = pieces(&ids, &[]);
        prop_assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn a_stopped_text_is_the_decoded_text_up_to_the_first_stop(
        ids in prop::collection::vec(0_u32..414, 0..100),
        stop in "[a-f ]{1,3}",
    ) {
        let whole = QWEN.decode(&ids, true).unwrap();
        let (pieces, stopped) = pieces(&ids, std::slice::from_ref(&stop));
        let expected = whole.split(&stop).next().unwrap();
        prop_assert_eq!(pieces.concat(), expected);
        prop_assert_eq!(stopped, whole.contains(&stop));
    }
}
