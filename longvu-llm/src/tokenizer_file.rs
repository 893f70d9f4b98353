//! `tokenizer.json`, read and checked before a tokenizer is built from it.
//!
//! The format can describe any text-processing program; some of them take all memory, loop, or panic in the crate that
//! runs them. LongVU's models have byte-level BPE, so that is what is accepted, and what else a file asks for is named.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    marker::PhantomData,
};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use tokenizers::SplitDelimiterBehavior;

use crate::{
    bpe::{Added, Merge},
    limits::{PATTERN_BYTES, TOKENIZER_STEPS},
};

/// The parts of `tokenizer.json`. Truncation and padding are not among them: they would silently change a prompt.
#[derive(Deserialize)]
pub(crate) struct TokenizerFile {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    pub added_tokens: Vec<Added>,
    #[serde(default, deserialize_with = "steps")]
    pub normalizer: Vec<Step>,
    #[serde(default, deserialize_with = "steps")]
    pub pre_tokenizer: Vec<Step>,
    #[serde(default, deserialize_with = "steps")]
    post_processor: Vec<Step>,
    #[serde(default, deserialize_with = "steps")]
    decoder: Vec<Step>,
    pub model: Model,
}

/// The model's vocabulary and settings.
#[derive(Deserialize)]
pub(crate) struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    pub ignore_merges: Option<bool>,
    pub vocab: HashMap<String, u32>,
    pub merges: Vec<Merge>,
}

/// One step of a part. Each kind has some of the settings.
#[derive(Deserialize)]
pub(crate) struct Step<Chained = IgnoredAny> {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub pattern: Option<Pattern>,
    #[serde(default)]
    pub behavior: Option<SplitDelimiterBehavior>,
    #[serde(default)]
    pub invert: Option<bool>,
    #[serde(default)]
    pub add_prefix_space: Option<bool>,
    #[serde(default)]
    pub use_regex: Option<bool>,
    #[serde(default)]
    pub individual_digits: Option<bool>,
    #[serde(default)]
    single: Option<Few<Piece>>,
    #[serde(default)]
    special_tokens: BTreeMap<String, IgnoredAny>,
    /// The steps of a sequence.
    #[serde(alias = "pretokenizers", alias = "normalizers", alias = "decoders", alias = "processors")]
    chained: Option<Chained>,
}

/// The steps of a part: itself, or those that it chains.
fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Step>, D::Error> {
    let Some(step) = Option::<Step<Few<Step>>>::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(match step.chained {
        Some(Few(steps)) if step.kind == "Sequence" => steps,
        _ => vec![Step {
            kind: step.kind,
            pattern: step.pattern,
            behavior: step.behavior,
            invert: step.invert,
            add_prefix_space: step.add_prefix_space,
            use_regex: step.use_regex,
            individual_digits: step.individual_digits,
            single: step.single,
            special_tokens: step.special_tokens,
            chained: None,
        }],
    })
}

/// What a text is cut at.
#[derive(Debug, Deserialize)]
pub(crate) enum Pattern {
    String(String),
    Regex(String),
}

/// A piece of what a post-processor makes. Prompts have their special tokens already, so it is checked and left.
#[derive(Deserialize)]
enum Piece {
    Sequence { id: String },
    SpecialToken { id: String },
}

/// A list of at most [`TOKENIZER_STEPS`].
pub(crate) struct Few<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FewVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
            type Value = Few<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a list of {TOKENIZER_STEPS} at most")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Few<T>, A::Error> {
                let mut few = Vec::new();
                while let Some(one) = list.next_element()? {
                    if few.len() == TOKENIZER_STEPS {
                        return Err(serde::de::Error::invalid_length(few.len() + 1, &self));
                    }
                    few.push(one);
                }
                Ok(Few(few))
            }
        }
        deserializer.deserialize_seq(FewVisitor(PhantomData))
    }
}

impl TokenizerFile {
    /// The decoder's kind: `ByteLevel` for what is read here.
    pub fn decoder_kind(&self) -> String {
        let kinds: Vec<&str> = self.decoder.iter().map(|step| step.kind.as_str()).collect();
        if kinds.is_empty() { "absent".into() } else { kinds.join(", ") }
    }

    /// Refuses what byte-level BPE has not. The error says which part asks for it.
    pub fn check(&self) -> Result<(), String> {
        if let Some(version) = self.version.as_deref().filter(|version| *version != "1.0") {
            return Err(format!("its version is {version:?}, and only \"1.0\" is known"));
        }
        self.check_model()?;
        for step in &self.normalizer {
            if !matches!(step.kind.as_str(), "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase") {
                return Err(foreign("normalizer", &step.kind));
            }
        }
        let mut byte_level = 0;
        for step in &self.pre_tokenizer {
            match step.kind.as_str() {
                "ByteLevel" => byte_level += 1,
                "Digits" | "Punctuation" => {}
                "Split" => step.check_pattern()?,
                other => return Err(foreign("pre_tokenizer", other)),
            }
        }
        if byte_level != 1 {
            return Err(format!("its pre_tokenizer has {byte_level} steps of the kind \"ByteLevel\" instead of one"));
        }
        self.post_processor.iter().try_for_each(Step::check_processor)
    }

    fn check_model(&self) -> Result<(), String> {
        let model = &self.model;
        if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "BPE") {
            return Err(foreign("model", kind));
        }
        if let Some(dropout) = model.dropout.filter(|dropout| *dropout != 0.0) {
            return Err(format!(
                "its model has a dropout of {dropout}: the same text would be cut differently each time"
            ));
        }
        for (name, affix) in [
            ("continuing_subword_prefix", &model.continuing_subword_prefix),
            ("end_of_word_suffix", &model.end_of_word_suffix),
        ] {
            if let Some(affix) = affix.as_deref().filter(|affix| !affix.is_empty()) {
                let shown: String = affix.chars().take(20).collect();
                return Err(format!("its model has a {name} ({shown:?}), which byte-level BPE has not"));
            }
        }
        Ok(())
    }
}

impl Step {
    fn check_pattern(&self) -> Result<(), String> {
        let (Some(Pattern::String(pattern) | Pattern::Regex(pattern)), Some(_)) = (&self.pattern, &self.behavior)
        else {
            return Err("a step \"Split\" of its pre_tokenizer lacks its pattern or its behavior".into());
        };
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES {
            let bytes = pattern.len();
            return Err(format!(
                "a pattern of its pre_tokenizer has {bytes} bytes, and 1 to {PATTERN_BYTES} are allowed"
            ));
        }
        Ok(())
    }

    fn check_processor(&self) -> Result<(), String> {
        match (self.kind.as_str(), &self.single) {
            ("ByteLevel" | "RobertaProcessing" | "BertProcessing", _) => Ok(()),
            ("TemplateProcessing", Some(Few(pieces))) => self.check_pieces(pieces),
            ("TemplateProcessing", None) => Err("its post_processor lacks the template \"single\"".into()),
            (other, _) => Err(foreign("post_processor", other)),
        }
    }

    fn check_pieces(&self, pieces: &[Piece]) -> Result<(), String> {
        let mut texts = 0;
        for piece in pieces {
            match piece {
                Piece::Sequence { id } if id == "A" => texts += 1,
                Piece::Sequence { id } => {
                    return Err(format!("the template for one text in its post_processor has the text {id:?}"));
                }
                Piece::SpecialToken { id } if self.special_tokens.contains_key(id) => {}
                Piece::SpecialToken { id } => {
                    return Err(format!("its post_processor adds {id:?}, which is not among its special_tokens"));
                }
            }
        }
        if texts == 1 { Ok(()) } else { Err(format!("the template in its post_processor has the text {texts} times")) }
    }
}

fn foreign(part: &str, kind: &str) -> String {
    format!("its {part} is or has {kind:?}, which the byte-level BPE of Qwen2 and Llama 3 has not")
}
