#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bpe;
mod bpe_files;
mod byte_level;
mod chat_template;
mod conversation;
mod decoder;
mod error;
mod files;
mod generate;
mod generation_config;
mod jinja;
mod kv_cache;
mod limits;
mod logits;
mod message;
mod prompt;
mod rotary;
mod stop_strings;
mod synthetic_tokenizer;
mod text_stream;
mod tokenizer;
mod tokenizer_config;
mod tokenizer_file;

pub use chat_template::ChatTemplate;
pub use conversation::Conversation;
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use generate::{FinishReason, Generation, PREFILL_CHUNK};
pub use generation_config::{GenerationConfig, load_eos_token_ids, load_eos_token_ids_with};
pub use jinja::JinjaTemplate;
pub use kv_cache::KvCache;
pub use limits::{Limits, MAX_NEW_TOKENS};
pub use logits::LogitsSampler;
pub use message::{Message, Role};
pub use prompt::{DEFAULT_SYSTEM_PROMPT, IMAGE_PLACEHOLDER, IMAGE_TOKEN_INDEX, PromptIds, tokenize_prompt};
pub use rotary::RotaryEmbedding;
pub use synthetic_tokenizer::synthetic_tokenizer;
pub use text_stream::TextStream;
pub use tokenizer::Tokenizer;
