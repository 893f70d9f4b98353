//! A byte-level BPE tokenizer from its parts, checked.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, SeqAccess, Visitor},
};
use tokenizers::{
    AddedToken,
    models::bpe::{BPE, Vocab},
};

use crate::{Limits, byte_level::byte_to_char, limits::ADDED_TOKEN_BYTES, tokenizer_config::AddedTokenEntry};

/// Two tokens that become one: `["a", "b"]`, or `"a b"` in older files.
pub(crate) struct Merge(pub Box<str>, pub Box<str>);

/// A token of `added_tokens`.
#[derive(Deserialize)]
pub(crate) struct Added {
    pub id: u32,
    #[serde(flatten)]
    pub token: AddedTokenEntry,
}

/// The BPE model. Added tokens become part of its vocabulary, so that each has the id that its file gives it whatever
/// ids are free.
pub(crate) fn model(
    mut vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    added: &[Added],
    ignore_merges: bool,
    limits: &Limits,
) -> Result<BPE, String> {
    if merges.len() > limits.merges {
        return Err(format!("it has {} merges, more than the {} allowed", merges.len(), limits.merges));
    }
    check_bytes(&vocab)?;
    for Merge(left, right) in &merges {
        let whole = [&**left, right].concat();
        if let Some(absent) = [left, right, &*whole].into_iter().find(|token| !vocab.contains_key(*token)) {
            return Err(format!("the merge of {left:?} and {right:?} needs {absent:?}, which its vocabulary lacks"));
        }
    }
    for Added { id: listed, token: AddedTokenEntry { content, .. } } in added {
        match vocab.get(content) {
            Some(id) if id != listed => {
                return Err(format!("it lists {content:?} as token {listed}, and its vocabulary as {id}"));
            }
            Some(_) => {}
            None => {
                vocab.insert(content.clone(), *listed);
            }
        }
    }
    check_ids(&vocab, limits)?;
    if added.iter().map(|added| added.token.content.len()).sum::<usize>() > ADDED_TOKEN_BYTES {
        return Err(format!("its added tokens have more than the {ADDED_TOKEN_BYTES} bytes allowed"));
    }
    let merges = merges.into_iter().map(|Merge(left, right)| (left.into(), right.into())).collect();
    let builder = BPE::builder().vocab_and_merges(vocab.into_iter().collect::<Vocab>(), merges);
    builder.ignore_merges(ignore_merges).build().map_err(|error| error.to_string())
}

/// Every byte needs a token: texts with another would silently lose it.
fn check_bytes(vocab: &HashMap<String, u32>) -> Result<(), String> {
    let absent = (0..=u8::MAX).filter(|&byte| !vocab.contains_key(byte_to_char(byte).encode_utf8(&mut [0; 4])));
    let absent: Vec<u8> = absent.collect();
    match absent.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(format!(
            "its vocabulary lacks tokens for {} of the 256 bytes, the first being {first:#04x}: texts would lose them",
            absent.len()
        )),
    }
}

/// No two tokens may have one id, nor may ids be beyond all vocabularies.
fn check_ids(vocab: &HashMap<String, u32>, limits: &Limits) -> Result<(), String> {
    if vocab.len() > limits.vocabulary as usize {
        return Err(format!("it has {} tokens, more than the {} allowed", vocab.len(), limits.vocabulary));
    }
    let mut by_id = BTreeMap::new();
    for (token, &id) in vocab {
        if id >= limits.vocabulary {
            return Err(format!(
                "the token {token:?} has the id {id}, and ids below {} are allowed",
                limits.vocabulary
            ));
        }
        if let Some(other) = by_id.insert(id, token) {
            let [first, second] = if other < token { [other, token] } else { [token, other] };
            return Err(format!("the tokens {first:?} and {second:?} both have the id {id}"));
        }
    }
    Ok(())
}

/// Makes the added tokens known as such; those without a text are none.
pub(crate) fn add(tokenizer: &mut tokenizers::Tokenizer, mut added: Vec<Added>) -> Result<(), String> {
    added.sort_by_key(|added| added.id);
    let tokens = added.into_iter().map(|Added { token, .. }| {
        AddedToken::from(token.content, token.special)
            .single_word(token.single_word)
            .lstrip(token.lstrip)
            .rstrip(token.rstrip)
            .normalized(token.normalized)
    });
    tokenizer.add_tokens(tokens.collect::<Vec<_>>()).map(|_| ()).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MergeVisitor;
        impl<'de> Visitor<'de> for MergeVisitor {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("two tokens, as a list or with a space between them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Merge, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                Merge::from_line(text).ok_or_else(wrong)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let mut next = || list.next_element::<Box<str>>();
                match (next()?, next()?, next()?) {
                    (Some(left), Some(right), None) => Ok(Merge(left, right)),
                    _ => Err(A::Error::invalid_length(3, &self)),
                }
            }
        }
        deserializer.deserialize_any(MergeVisitor)
    }
}

impl Merge {
    /// The merge of a line with one space.
    pub fn from_line(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(' ')?;
        let whole = !left.is_empty() && !right.is_empty() && !right.contains(' ');
        whole.then(|| Self(left.into(), right.into()))
    }
}
