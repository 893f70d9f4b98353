//! A Qwen2 tokenizer from the older files `vocab.json` and `merges.txt`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use tokenizers::{
    SplitDelimiterBehavior,
    normalizers::unicode::NFC,
    pre_tokenizers::{
        PreTokenizerWrapper,
        byte_level::ByteLevel,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use crate::{
    Error, Limits, Result,
    bpe::{self, Added, Merge},
    files::{read_json_if_present, read_text_if_present},
    tokenizer_config::{self, AddedTokenEntry},
};

/// Where Qwen2 cuts a text before merging: contractions, words with one leading mark, single
/// digits, runs of punctuation, line ends, other white space.
const QWEN2_PATTERN: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"|[^\r\n\p{L}\p{N}]?\p{L}+",
    r"|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+",
    r"|\s+(?!\S)",
    r"|\s+",
);

/// Builds the tokenizer of `vocab.json`, `merges.txt` and the files that list added tokens.
pub(crate) fn load(dir: &Path, limits: &Limits) -> Result<tokenizers::Tokenizer> {
    let (vocab_file, merges_file) = (dir.join("vocab.json"), dir.join("merges.txt"));
    let vocab = read_json_if_present::<HashMap<String, u32>>(&vocab_file, limits.tokenizer_bytes);
    let vocab = vocab.map_err(|error| match error {
        Error::Json { path, source } => Error::tokenizer_file(&path, &source.to_string()),
        other => other,
    })?;
    let merges = read_text_if_present(&merges_file, limits.tokenizer_bytes)?;
    let (Some(vocab), Some(merges)) = (vocab, merges) else {
        return Err(Error::TokenizerMissing { dir: dir.into() });
    };
    let merges = parse_merges(&merges).map_err(|reason| Error::tokenizer_file(&merges_file, &reason))?;
    let failed = |reason: String| Error::tokenizer_file(dir, &reason);
    let added = listed_tokens(dir, limits)?;
    let model = bpe::model(vocab, merges, &added, false, limits).map_err(failed)?;
    let split = Split::new(SplitPattern::Regex(QWEN2_PATTERN.into()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| failed(error.to_string()))?;
    let byte_level = ByteLevel::new(false, true, false);

    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(NFC)).map_err(|error| failed(error.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(split),
        PreTokenizerWrapper::ByteLevel(byte_level),
    ])));
    tokenizer.with_decoder(Some(byte_level));
    bpe::add(&mut tokenizer, added).map_err(failed)?;
    Ok(tokenizer)
}

/// The merges of `merges.txt`: one a line, after lines that say a version.
fn parse_merges(text: &str) -> Result<Vec<Merge>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    let merge = |(index, line)| {
        Merge::from_line(line).ok_or_else(|| format!("line {} is not two tokens with a space between", index + 1))
    };
    lines.map(merge).collect()
}

/// The added tokens by id: those of `added_tokens.json`, and in their place those of `tokenizer_config.json`.
fn listed_tokens(dir: &Path, limits: &Limits) -> Result<Vec<Added>> {
    let mut tokens = BTreeMap::new();
    let plain_file = dir.join("added_tokens.json");
    let plain: Option<BTreeMap<String, u32>> = read_json_if_present(&plain_file, limits.json_bytes)?;
    for (content, id) in plain.unwrap_or_default() {
        // The plain list does not tell special tokens apart; in Qwen2 they have this shape.
        let special = content.starts_with("<|") && content.ends_with("|>");
        let token =
            AddedTokenEntry { content, special, single_word: false, lstrip: false, rstrip: false, normalized: false };
        tokens.insert(id, Added { id, token });
    }
    let config_file = dir.join(tokenizer_config::FILE_NAME);
    for (id, token) in tokenizer_config::load(dir, limits)?.added_tokens_decoder {
        let not_an_id = || format!("added_tokens_decoder has the key {id:?}, which is not an id");
        let id = id.parse().map_err(|_| Error::tokenizer_file(&config_file, &not_an_id()))?;
        tokens.insert(id, Added { id, token });
    }
    Ok(tokens.into_values().collect())
}
