#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bpe;
mod bpe_files;
mod byte_level;
mod chat_template;
mod conversation;
mod decoder;
mod decoder_layer;
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
mod prompt_pruning;
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
#[doc(hidden)]
pub use generate::PREFILL_CHUNK;
pub use generate::{FinishReason, Generation};
pub use generation_config::GenerationConfig;
#[doc(hidden)]
pub use generation_config::{load_eos_token_ids, load_eos_token_ids_with};
pub use jinja::JinjaTemplate;
pub use kv_cache::KvCache;
pub use limits::Limits;
#[doc(hidden)]
pub use limits::MAX_NEW_TOKENS;
#[doc(hidden)]
pub use logits::LogitsSampler;
pub use message::{Message, Role};
pub use prompt::{DEFAULT_SYSTEM_PROMPT, IMAGE_PLACEHOLDER, PromptIds};
#[doc(hidden)]
pub use prompt::{IMAGE_TOKEN_INDEX, tokenize_prompt};
pub use prompt_pruning::{PromptPruning, PrunedPrompt};
#[doc(hidden)]
pub use rotary::RotaryEmbedding;
#[doc(hidden)]
pub use synthetic_tokenizer::synthetic_tokenizer;
pub use text_stream::TextStream;
pub use tokenizer::Tokenizer;
