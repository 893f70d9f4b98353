//! A byte-level tokenizer made for the world's few words, in the format of Qwen2's.

use std::{fs, path::Path};

use longvu_checkpoint::atomic::FolderDraft;
use longvu_world::{QuestionKind, Script, ScriptKind, ScriptOptions, Split};
use serde_json::{Value, json};
use tokenizers::{
    AddedToken, NormalizerWrapper, TokenizerBuilder, TokenizerImpl,
    models::bpe::{BPE, BpeTrainerBuilder},
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{Error, Result};

/// Special tokens, which get the first ids.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// The layout of a conversation, as Qwen2's tokenizer has it.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
    {{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}\
    {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

type Bpe = TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>;

/// A trained tokenizer.
pub(crate) struct TrainedTokenizer(Bpe);

/// Trains a tokenizer of `vocab_size` tokens, special ones included.
///
/// # Errors
/// A size that has no room for all bytes, or that the corpus cannot fill.
pub(crate) fn train_tokenizer(
    corpus: impl Iterator<Item = String> + Send,
    vocab_size: usize,
) -> Result<TrainedTokenizer> {
    let wrong = |expected| Error::Setting { name: "vocab_size", value: vocab_size.to_string(), expected };
    if vocab_size < 256 + SPECIAL.len() {
        return Err(wrong("259 or more, for all bytes and the special tokens"));
    }
    let byte_level = ByteLevel::new(false, true, true);
    let tokenizer: Result<Bpe, _> = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(None)
        .with_pre_tokenizer(Some(byte_level))
        .with_post_processor(Some(byte_level))
        .with_decoder(Some(byte_level))
        .build();
    let failed = |error: tokenizers::Error| Error::Tokenizer { reason: error.to_string() };
    let mut tokenizer = tokenizer.map_err(failed)?;
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab_size)
        .min_frequency(1)
        .special_tokens(SPECIAL.map(|token| AddedToken::from(token, true)).to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, corpus).map_err(failed)?;
    if tokenizer.get_vocab_size(true) != vocab_size {
        return Err(wrong("fewer: the texts have not that many pieces"));
    }
    Ok(TrainedTokenizer(tokenizer))
}

impl TrainedTokenizer {
    /// Writes `tokenizer.json` and `tokenizer_config.json` to a new folder, which appears once it is complete.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let draft = FolderDraft::new(folder).map_err(Error::write(folder))?;
        let tokenizer = self.json().map_err(|error| Error::Tokenizer { reason: error.to_string() })?;
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
            "bos_token": null, "unk_token": null, "clean_up_tokenization_spaces": false,
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "chat_template": CHAT_TEMPLATE,
        });
        let files = [("tokenizer.json", format!("{tokenizer:#}")), ("tokenizer_config.json", format!("{config:#}"))];
        for (name, text) in files {
            let path = draft.path().join(name);
            fs::write(&path, text + "\n").map_err(Error::write(&path))?;
        }
        draft.commit().map_err(Error::write(folder))
    }

    /// The tokenizer with merges as `a b`, which transformers before 4.45 needs and later ones take as well. Byte-level
    /// pieces have no spaces.
    fn json(&self) -> serde_json::Result<Value> {
        let mut json = serde_json::to_value(&self.0)?;
        for merge in json["model"]["merges"].as_array_mut().into_iter().flatten() {
            if let [Value::String(left), Value::String(right)] = merge.as_array().map_or(&[][..], Vec::as_slice) {
                *merge = format!("{left} {right}").into();
            }
        }
        Ok(json)
    }
}

/// Texts of the world: what is asked, answered and captioned in `videos` videos to train on, and what prompts add.
pub(crate) fn world_corpus(seed: u64, videos: usize) -> impl Iterator<Item = String> + Send {
    const PROMPT: &str = "system\nYou are a helpful assistant.\nuser\n\nassistant\n";
    (0..videos as u64).flat_map(move |place| {
        let options = ScriptOptions::default().with_duration(14.0);
        let kind = if place % 3 == 0 { ScriptKind::Needle } else { ScriptKind::Cuts };
        let script = Script::draw(Split::Train.seed(seed.wrapping_add(place)), &options.with_kind(kind));
        let mut texts = vec![PROMPT.to_owned()];
        if let Ok(script) = script {
            let questions = QuestionKind::ALL.into_iter().filter_map(|kind| script.question(kind, place));
            texts.extend(questions.flat_map(|question| [question.text, question.answer]));
            texts.extend((0..2).map(|i| script.caption(f64::from(i) * 6.0, place)));
        }
        texts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_corpus_gives_the_same_tokenizer_and_any_text_survives() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            train_tokenizer(world_corpus(1, 150), 600).unwrap().write(path).unwrap();
        }
        let [first, second] = paths.each_ref().map(|path| fs::read_to_string(path.join("tokenizer.json")).unwrap());
        assert_eq!(first, second);
        let json: Value = serde_json::from_str(&first).unwrap();
        let merges = json["model"]["merges"].as_array().unwrap();
        assert!(merges.len() == 600 - 259 && merges.iter().all(Value::is_string));
        let tokenizer = longvu_llm::Tokenizer::from_dir(&paths[0]).unwrap();
        assert_eq!(tokenizer.vocab_size(), 600);
        let text = "Wie heißt der Ball?\nWhat colour is the star?";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap(), true).unwrap(), text);
        assert_eq!(tokenizer.end_of_turn_ids(), [2]);
        assert!(tokenizer.encode("What colour is the star?").unwrap().len() < 10);
        for size in [100, 100_000] {
            assert!(train_tokenizer(world_corpus(1, 3), size).is_err());
        }
    }
}
