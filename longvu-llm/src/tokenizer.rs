//! The language model's tokenizer, read from a checkpoint folder.

use std::path::Path;
use std::sync::Arc;

use tokenizers::DecoderWrapper;

use crate::bpe_files;
use crate::byte_level::token_bytes;
use crate::error::{Error, Result};

/// Tokens that end a turn in the prompts of Qwen2 and Llama 3.
const END_OF_TURN_TOKENS: [&str; 2] = ["<|im_end|>", "<|eot_id|>"];

/// A byte-level BPE tokenizer as Qwen2 and Llama 3 checkpoints carry it.
///
/// Cloning is cheap: clones share the vocabulary.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special_tokens: Arc<[String]>,
}

impl Tokenizer {
    /// Loads a checkpoint folder's tokenizer: `tokenizer.json`, or where that is absent
    /// `vocab.json` and `merges.txt`, split up as Qwen2 does, with the added tokens of
    /// `tokenizer_config.json` and `added_tokens.json`.
    ///
    /// # Errors
    ///
    /// [`Error::TokenizerMissing`] when neither is there, or as [`Tokenizer::from_file`].
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let file = dir.join("tokenizer.json");
        if file.exists() {
            return Self::from_file(file);
        }
        tracing::debug!(dir = %dir.display(), "no tokenizer.json, trying vocab.json and merges.txt");
        Self::new(bpe_files::load(dir)?, dir)
    }

    /// Loads a `tokenizer.json`. Truncation and padding set in the file are ignored: they would
    /// silently change a prompt.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] when the file cannot be read, [`Error::TokenizerFile`] when it is not a
    /// tokenizer, [`Error::TokenizerKind`] when it is not a byte-level one.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|source| Error::TokenizerFile { path: path.into(), source })?;
        Self::new(inner, path)
    }

    fn new(mut inner: tokenizers::Tokenizer, path: &Path) -> Result<Self> {
        // The text stream turns ids into bytes one at a time, which is the whole decoding only
        // for byte-level vocabularies.
        if !matches!(inner.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
            let found = inner.get_decoder().map_or("absent".into(), decoder_name);
            return Err(Error::TokenizerKind { path: path.into(), found });
        }
        inner
            .with_truncation(None)
            .map_err(|source| Error::TokenizerFile { path: path.into(), source })?
            .with_padding(None);
        let mut special: Vec<_> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        special.sort_unstable();
        let special_tokens = special.into_iter().map(|(_, content)| content).collect();
        Ok(Self { inner: Arc::new(inner), special_tokens })
    }

    /// The ids of a text. Special tokens written out in the text, such as `<|im_end|>`, become
    /// their single ids; none are added.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenize`] when the tokenizer itself fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|source| Error::Tokenize { action: "encode a text", source })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids. Ids outside the vocabulary give nothing; bytes that are not UTF-8 give
    /// U+FFFD. The text is left as it is: spaces before punctuation are not tidied up, which
    /// some checkpoints ask Hugging Face's tokenizers to do.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenize`] when the tokenizer itself fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.inner
            .decode(ids, skip_special_tokens)
            .map_err(|source| Error::Tokenize { action: "decode token ids", source })
    }

    /// The id of a token in the vocabulary's spelling, special tokens included.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The number of tokens, added ones included. A checkpoint's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The texts of the special tokens, in the order of their ids.
    pub fn special_tokens(&self) -> &[String] {
        &self.special_tokens
    }

    /// The ids that end an assistant's turn: those of `<|im_end|>` and `<|eot_id|>` that the
    /// vocabulary has.
    pub fn end_of_turn_ids(&self) -> Vec<u32> {
        END_OF_TURN_TOKENS.iter().filter_map(|token| self.token_to_id(token)).collect()
    }

    /// The bytes that one id adds to a decoded text, with special tokens skipped.
    pub(crate) fn bytes_of(&self, id: u32) -> Vec<u8> {
        match self.inner.id_to_token(id) {
            Some(token) if !self.inner.get_added_vocabulary().is_special_token(&token) => token_bytes(&token),
            _ => Vec::new(),
        }
    }
}

/// The decoder's type name as `tokenizer.json` writes it.
fn decoder_name(decoder: &DecoderWrapper) -> String {
    serde_json::to_value(decoder)
        .ok()
        .and_then(|value| value.get("type")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| "unknown".into())
}
