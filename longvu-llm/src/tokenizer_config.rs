//! The parts of `tokenizer_config.json` that prompts and tokenizers need.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use crate::{Limits, files::read_json_if_present};

/// The file's name in a checkpoint folder.
pub(crate) const FILE_NAME: &str = "tokenizer_config.json";

/// `tokenizer_config.json`; every part is optional.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TokenizerConfig {
    /// Added tokens by id, written as a decimal string.
    #[serde(default)]
    pub added_tokens_decoder: BTreeMap<String, AddedTokenEntry>,
    /// The Jinja chat template or templates.
    pub chat_template: Option<ChatTemplateEntry>,
    pub bos_token: Option<SpecialToken>,
    pub eos_token: Option<SpecialToken>,
    pub pad_token: Option<SpecialToken>,
    pub unk_token: Option<SpecialToken>,
}

/// An added token without its id, such as an entry of `added_tokens_decoder`.
#[derive(Debug, Deserialize)]
pub(crate) struct AddedTokenEntry {
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub normalized: bool,
}

/// A special token, written as its text or as an object with its text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    pub fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// One template, or several with names: as a list, or as an object.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ChatTemplateEntry {
    One(String),
    Named(Vec<NamedTemplate>),
    Object(BTreeMap<String, String>),
}

/// A template of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct NamedTemplate {
    pub name: String,
    pub template: String,
}

impl ChatTemplateEntry {
    /// The template for plain conversations: the only one, or of those with names the one named `default`, the last
    /// where several are. The error says which names there are.
    pub fn into_default(self) -> Result<String, String> {
        let mut named = match self {
            Self::One(template) => return Ok(template),
            Self::Named(templates) => templates.into_iter().map(|t| (t.name, t.template)).collect(),
            Self::Object(templates) => templates,
        };
        named.remove("default").ok_or_else(|| {
            let names: Vec<String> = named.into_keys().map(|name| format!("{name:?}")).collect();
            format!("it has several templates and none is named \"default\" (there are: {})", names.join(", "))
        })
    }
}

/// The folder's `tokenizer_config.json`, empty where there is none.
pub(crate) fn load(dir: &Path, limits: &Limits) -> crate::Result<TokenizerConfig> {
    Ok(read_json_if_present(&dir.join(FILE_NAME), limits.json_bytes)?.unwrap_or_default())
}
