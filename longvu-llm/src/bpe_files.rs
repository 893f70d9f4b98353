//! A Qwen2 tokenizer from the older files `vocab.json` and `merges.txt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::error::{Error, Result};
use crate::files::read_json_if_present;
use crate::tokenizer_config;

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
pub(crate) fn load(dir: &Path) -> Result<tokenizers::Tokenizer> {
    let vocab_file = dir.join("vocab.json");
    let merges_file = dir.join("merges.txt");
    if !vocab_file.exists() || !merges_file.exists() {
        return Err(Error::TokenizerMissing { dir: dir.into() });
    }
    let failed = |source| Error::TokenizerFile { path: dir.into(), source };
    let model =
        BPE::from_file(&vocab_file.to_string_lossy(), &merges_file.to_string_lossy()).build().map_err(failed)?;
    let split = Split::new(SplitPattern::Regex(QWEN2_PATTERN.into()), SplitDelimiterBehavior::Isolated, false)
        .map_err(failed)?;
    let byte_level = ByteLevel::new(false, true, false);

    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(NFC)).map_err(failed)?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(split),
        PreTokenizerWrapper::ByteLevel(byte_level),
    ])));
    tokenizer.with_decoder(Some(byte_level));
    add_tokens(&mut tokenizer, dir)?;
    Ok(tokenizer)
}

/// Adds the listed tokens and checks that each got the id that the list gives it.
fn add_tokens(tokenizer: &mut tokenizers::Tokenizer, dir: &Path) -> Result<()> {
    for (id, (token, listed_in)) in listed_tokens(dir)? {
        let content = token.content.clone();
        let failed = |source| Error::TokenizerFile { path: listed_in.clone(), source };
        tokenizer.add_tokens([token]).map_err(failed)?;
        // Ids are handed out one after the other, so a gap in the list would shift every later
        // token to another row of the embedding.
        let got = tokenizer.token_to_id(&content);
        if got != Some(id) {
            return Err(failed(format!("it lists {content:?} as token {id}, but the next free id is {got:?}").into()));
        }
    }
    Ok(())
}

/// The added tokens by id, each with the file that lists it.
fn listed_tokens(dir: &Path) -> Result<BTreeMap<u32, (AddedToken, PathBuf)>> {
    let mut tokens = BTreeMap::new();
    let plain_file = dir.join("added_tokens.json");
    let plain: Option<BTreeMap<String, u32>> = read_json_if_present(&plain_file)?;
    for (content, id) in plain.unwrap_or_default() {
        // The plain list does not tell special tokens apart; in Qwen2 they have this shape.
        let special = content.starts_with("<|") && content.ends_with("|>");
        let token = AddedToken::from(content, special).normalized(false);
        tokens.insert(id, (token, plain_file.clone()));
    }
    let config_file = dir.join(tokenizer_config::FILE_NAME);
    for (id, entry) in tokenizer_config::load(dir)?.added_tokens_decoder {
        let id = id.parse().map_err(|_| Error::TokenizerFile {
            path: config_file.clone(),
            source: format!("added_tokens_decoder has the key {id:?}, which is not an id").into(),
        })?;
        let token = AddedToken::from(entry.content, entry.special)
            .single_word(entry.single_word)
            .lstrip(entry.lstrip)
            .rstrip(entry.rstrip)
            .normalized(entry.normalized);
        tokens.insert(id, (token, config_file.clone()));
    }
    Ok(tokens)
}
