//! The language side of LongVU: the tokenizer, prompts with places for images and videos, how
//! tokens are picked, and text as it is generated.

mod bpe_files;
mod byte_level;
mod chat_template;
mod conversation;
mod error;
mod files;
mod generation_config;
mod jinja;
mod logits;
mod prompt;
mod stop_strings;
mod strftime;
mod text_stream;
mod tokenizer;
mod tokenizer_config;

pub use chat_template::ChatTemplate;
pub use conversation::Conversation;
pub use error::{Error, Result};
pub use generation_config::{GenerationConfig, load_eos_token_ids};
pub use jinja::JinjaTemplate;
pub use logits::LogitsSampler;
pub use prompt::{
    DEFAULT_SYSTEM_PROMPT, IMAGE_PLACEHOLDER, IMAGE_TOKEN_INDEX, Message, PromptIds, Role,
    tokenize_prompt,
};
pub use text_stream::TextStream;
pub use tokenizer::Tokenizer;
