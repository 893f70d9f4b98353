//! The language model's tokenizer, read from a checkpoint folder.

use std::{path::Path, sync::Arc};

use longvu_checkpoint::{config::parse_json, files::is_regular};
use longvu_core::text::escape;
use tokenizers::{
    SplitDelimiterBehavior,
    normalizers::{NormalizerWrapper, unicode, utils::Lowercase},
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        digits::Digits,
        punctuation::Punctuation,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use crate::{
    Error, Limits, Result, bpe, bpe_files,
    byte_level::token_bytes,
    files::read_if_present,
    limits::QUOTED_CHARACTERS,
    tokenizer_file::{Pattern, Step, TokenizerFile},
};

/// The file's name in a checkpoint folder.
const FILE_NAME: &str = "tokenizer.json";

/// Tokens that end a turn in the prompts of Qwen2 and Llama 3.
const END_OF_TURN_TOKENS: [&str; 2] = ["<|im_end|>", "<|eot_id|>"];

/// A byte-level BPE tokenizer as Qwen2 and Llama 3 checkpoints carry it.
///
/// Cloning is cheap: clones share the vocabulary.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special_tokens: Arc<[String]>,
    /// Bytes that a text may have.
    text_bytes: usize,
}

impl Tokenizer {
    /// Loads a checkpoint folder's tokenizer: `tokenizer.json`, or where that is absent `vocab.json` and `merges.txt`,
    /// split up as Qwen2 does, with the added tokens of `tokenizer_config.json` and `added_tokens.json`.
    ///
    /// # Errors
    /// [`Error::TokenizerMissing`] when neither is there, or as [`Tokenizer::from_file`].
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        Self::from_dir_with(dir, &Limits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// As [`Tokenizer::from_dir`].
    pub fn from_dir_with(dir: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let dir = dir.as_ref();
        let file = dir.join(FILE_NAME);
        // What cannot be looked at is no reason to take other files for it.
        if is_regular(&file).unwrap_or(true) {
            return Self::from_file_with(file, limits);
        }
        tracing::debug!(dir = %dir.display(), "no tokenizer.json, trying vocab.json and merges.txt");
        Ok(Self::new(bpe_files::load(dir, limits)?, limits))
    }

    /// Loads a `tokenizer.json`. Truncation and padding set in the file are ignored: they would
    /// silently change a prompt.
    ///
    /// # Errors
    /// [`Error::Read`] when the file cannot be read or is too large, [`Error::TokenizerKind`]
    /// when it is not a byte-level one, [`Error::TokenizerFile`] when it is not a tokenizer, or
    /// asks for what byte-level BPE has not, or contradicts itself.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file_with(path, &Limits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// As [`Tokenizer::from_file`].
    pub fn from_file_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let not_found = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let bytes = read_if_present(path, limits.tokenizer_bytes)?;
        let bytes = bytes.ok_or_else(|| Error::Read { path: path.into(), source: not_found() })?;
        let failed = |reason: String| Error::tokenizer_file(path, &reason);
        let file: TokenizerFile = parse_json(&bytes).map_err(failed)?;
        // The text stream turns ids into bytes one at a time, which is the whole decoding only
        // for byte-level vocabularies.
        let decoder = file.decoder_kind();
        if decoder != "ByteLevel" {
            return Err(Error::TokenizerKind { path: path.into(), found: escape(&decoder).into_owned() });
        }
        file.check().map_err(failed)?;
        Ok(Self::new(build(file, limits).map_err(failed)?, limits))
    }

    fn new(inner: tokenizers::Tokenizer, limits: &Limits) -> Self {
        let mut special: Vec<_> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (id, token.content))
            .collect();
        special.sort_unstable();
        let special_tokens = special.into_iter().map(|(_, content)| content).collect();
        Self { inner: Arc::new(inner), special_tokens, text_bytes: limits.text_bytes }
    }

    /// Refuses ids that an embedding of `rows` has no row for.
    ///
    /// # Errors
    /// [`Error::TokenBeyondEmbedding`] with the first such token.
    pub fn check_embedding(&self, rows: usize) -> Result<()> {
        let vocab = self.inner.get_vocab(true);
        let beyond = || vocab.iter().filter(|&(_, &id)| id as usize >= rows);
        let Some((token, &id)) = beyond().min_by_key(|&(_, &id)| id) else { return Ok(()) };
        let token = token.chars().take(QUOTED_CHARACTERS).collect();
        Err(Error::TokenBeyondEmbedding { token, id, rows, count: beyond().count() })
    }

    /// The ids of a text. Special tokens written out in the text, such as `<|im_end|>`, become
    /// their single ids; none are added.
    ///
    /// # Errors
    /// [`Error::TextTooLong`] over [`Limits::text_bytes`], [`Error::Tokenize`] when the tokenizer itself fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        if text.len() > self.text_bytes {
            return Err(Error::TextTooLong { bytes: text.len(), limit: self.text_bytes });
        }
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

    /// The ids that end an assistant's turn: those of `<|im_end|>` and `<|eot_id|>` that the vocabulary has.
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

/// A tokenizer of checked parts.
fn build(file: TokenizerFile, limits: &Limits) -> Result<tokenizers::Tokenizer, String> {
    let model = file.model;
    let ignore_merges = model.ignore_merges.unwrap_or_default();
    let model = bpe::model(model.vocab, model.merges, &file.added_tokens, ignore_merges, limits)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let normalizers: Vec<_> = file.normalizer.iter().filter_map(normalizer).collect();
    if !normalizers.is_empty() {
        let chained = tokenizers::normalizers::Sequence::new(normalizers);
        tokenizer.with_normalizer(Some(chained)).map_err(|error| error.to_string())?;
    }
    let steps = file.pre_tokenizer.into_iter().map(pre_tokenizer).collect::<Result<Vec<_>, String>>()?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    bpe::add(&mut tokenizer, file.added_tokens)?;
    Ok(tokenizer)
}

fn normalizer(step: &Step) -> Option<NormalizerWrapper> {
    Some(match step.kind.as_str() {
        "NFC" => NormalizerWrapper::NFC(unicode::NFC),
        "NFD" => NormalizerWrapper::NFD(unicode::NFD),
        "NFKC" => NormalizerWrapper::NFKC(unicode::NFKC),
        "NFKD" => NormalizerWrapper::NFKD(unicode::NFKD),
        "Lowercase" => NormalizerWrapper::Lowercase(Lowercase),
        _ => return None,
    })
}

fn pre_tokenizer(step: Step) -> Result<PreTokenizerWrapper, String> {
    Ok(match (step.kind.as_str(), step.pattern) {
        ("Digits", _) => Digits::new(step.individual_digits.unwrap_or_default()).into(),
        ("Punctuation", _) => Punctuation::new(step.behavior.unwrap_or(SplitDelimiterBehavior::Isolated)).into(),
        ("Split", Some(pattern)) => {
            let pattern = match pattern {
                Pattern::String(text) => SplitPattern::String(text),
                Pattern::Regex(regex) => SplitPattern::Regex(regex),
            };
            let behavior = step.behavior.unwrap_or(SplitDelimiterBehavior::Isolated);
            let split = Split::new(pattern, behavior, step.invert.unwrap_or_default());
            split.map_err(|error| format!("a pattern of its pre_tokenizer cannot be used: {error}"))?.into()
        }
        _ => ByteLevel::new(step.add_prefix_space.unwrap_or(true), true, step.use_regex.unwrap_or(true)).into(),
    })
}
