//! The golden data that these tests share.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use longvu_llm::{ChatTemplate, Tokenizer};

/// The folder of golden data: `LONGVU_GOLDEN_DIR`, else the workspace's.
pub fn golden_dir() -> PathBuf {
    std::env::var_os("LONGVU_GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), PathBuf::from)
}

/// The golden checkpoint of a kind, `qwen` or `llama`.
pub fn checkpoint(kind: &str) -> PathBuf {
    golden_dir().join("checkpoint").join(format!("longvu_{kind}"))
}

/// The golden tokenizer of a kind.
pub fn tokenizer(kind: &str) -> Tokenizer {
    Tokenizer::from_dir(checkpoint(kind)).unwrap()
}

/// The template of a kind.
pub fn template(kind: &str) -> ChatTemplate {
    match kind {
        "qwen" => ChatTemplate::ChatMl,
        "llama" => ChatTemplate::for_llama(checkpoint("llama")).unwrap(),
        other => panic!("no golden checkpoint of the kind {other}"),
    }
}
