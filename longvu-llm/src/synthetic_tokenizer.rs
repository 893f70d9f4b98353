//! A tokenizer for checkpoints whose weights are made up: one token a byte, and the special tokens of a family.

use serde_json::{Value, json};

use crate::byte_level::byte_to_char;

/// Special tokens of ChatML, end of turn first.
const CHAT_ML: [&str; 3] = ["<|im_end|>", "<|im_start|>", "<|endoftext|>"];

/// Special tokens of Llama 3, end of turn first.
const LLAMA3: [&str; 5] =
    ["<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"];

/// The contents of a `tokenizer.json` with ids below `vocab_size`, or `None` when so few ids do not suffice.
///
/// The end-of-turn token gets the id `end_of_turn` where that is free of byte tokens, the others the highest ids.
pub fn synthetic_tokenizer(llama: bool, vocab_size: usize, end_of_turn: Option<u32>) -> Option<Value> {
    let specials: &[&str] = if llama { &LLAMA3 } else { &CHAT_ML };
    if vocab_size < 256 + specials.len() {
        return None;
    }
    let wanted = end_of_turn.map(|id| id as usize).filter(|id| (256..vocab_size).contains(id));
    let end = wanted.unwrap_or(vocab_size - 1);
    let rest = (256..vocab_size).rev().filter(|&id| id != end);
    let ids = std::iter::once(end).chain(rest);
    let bytes = (0..=255u8).map(|byte| (byte_to_char(byte).to_string(), json!(byte)));
    let mut vocab: serde_json::Map<String, Value> = bytes.collect();
    let mut added = Vec::new();
    for (token, id) in specials.iter().zip(ids) {
        vocab.insert((*token).to_owned(), json!(id));
        added.push(json!({
            "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        }));
    }
    added.sort_by_key(|token| token["id"].as_u64());
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    Some(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": null, "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;

    #[test]
    fn any_text_survives_and_turns_end_where_they_should() {
        for (llama, end_of_turn) in [(false, Some(300)), (true, Some(128_009)), (true, None)] {
            let dir = tempfile::tempdir().unwrap();
            let json = synthetic_tokenizer(llama, 128_256, end_of_turn).unwrap();
            std::fs::write(dir.path().join("tokenizer.json"), json.to_string()).unwrap();
            let tokenizer = Tokenizer::from_dir(dir.path()).unwrap();
            let text = "Wie heißt der Ball? \u{1F7E1}\n";
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
            assert_eq!(tokenizer.end_of_turn_ids(), [end_of_turn.unwrap_or(128_255)]);
        }
        assert!(synthetic_tokenizer(true, 260, None).is_none());
    }
}
