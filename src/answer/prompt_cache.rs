//! What the language model has seen, to be continued by the next prompt that begins alike.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Arc, Weak},
};

use burn::tensor::Tensor;

use crate::{LongVu, llm::KvCache, model::longvu::Parts};

/// Rows that are brought to the host at once to be hashed.
const ROWS: usize = 512;

/// Keys and values of an earlier prompt and its answer, with a mark of each position's input.
///
/// What a position's keys and values are depends on all inputs up to it and on nothing else. So the cache compares what
/// is really pushed, the embeddings' bits, be they of text or of visual tokens: the next prompt goes on where they first
/// differ, whatever made them differ. An empty cache ([`PromptCache::default`]) is always right.
#[derive(Default)]
pub struct PromptCache {
    model: Weak<Parts>,
    cache: Option<KvCache>,
    /// One mark for each position of `cache`.
    marks: Vec<u64>,
    /// Positions that a handle with another decoder stage may take over.
    whole: usize,
    /// Hashes are keyed at random, so that no input can be made to look like another.
    hasher: RandomState,
}

/// A prompt's way through the language model: what was taken from a cache, and what is left to push.
pub(crate) struct Continued {
    /// Without the positions that `cache` has; at least one is left.
    pub inputs_embeds: Tensor<2>,
    pub cache: Option<KvCache>,
    /// Positions in `cache`.
    pub reused: usize,
    pub marks: Marks,
}

/// Marks of a prompt's positions, from which the next [`PromptCache`] is made.
pub(crate) struct Marks {
    marks: Vec<u64>,
    /// Positions before the first that a decoder stage concerns.
    whole: usize,
    hasher: RandomState,
}

impl PromptCache {
    /// Positions held.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether no position is held.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Takes over what the cache has of the beginning of a prompt, which leaves it empty: no more than `most` positions, those
    /// before the first that a decoder stage concerns.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[positions, hidden_size]`, at least one position
    pub(crate) fn continue_with(&mut self, model: &LongVu, inputs_embeds: Tensor<2>, most: usize) -> Continued {
        let PromptCache { model: owner, mut cache, marks: seen, whole, hasher } = std::mem::take(self);
        let marks = marks(&hasher, &inputs_embeds);
        let foreign = !std::ptr::eq(owner.as_ptr(), Arc::as_ptr(&model.parts));
        let alike = if foreign { 0 } else { seen.iter().zip(&marks).take_while(|(a, b)| a == b).count() };
        // The last position is always pushed: its output is what the answer starts from.
        let reused = alike.min(marks.len() - 1).min(most).min(whole);
        match &mut cache {
            Some(cache) if reused > 0 => cache.truncate(reused),
            // Nothing to keep: its memory goes before the new one is made.
            _ => cache = None,
        }
        let left = marks.len() - reused;
        let inputs_embeds = inputs_embeds.narrow(0, reused, left);
        Continued { inputs_embeds, cache, reused, marks: Marks { marks, whole: most, hasher } }
    }
}

impl Marks {
    /// The cache after an answer of `generated` tokens, of which the last may not have been pushed.
    pub fn into_cache(self, model: &LongVu, cache: KvCache, generated: &[u32]) -> PromptCache {
        let Self { marks: mut all, whole, hasher } = self;
        let pushed = cache.len().saturating_sub(all.len()).min(generated.len());
        if pushed > 0
            && let Ok(decoder) = model.decoder()
        {
            all.extend(marks(&hasher, &decoder.embed(&generated[..pushed])));
        }
        PromptCache { model: Arc::downgrade(&model.parts), cache: Some(cache), marks: all, whole, hasher }
    }
}

/// A mark of the bits of each row of `[positions, hidden_size]`.
fn marks(hasher: &RandomState, embeds: &Tensor<2>) -> Vec<u64> {
    let [positions, _] = embeds.dims();
    let mut marks = Vec::with_capacity(positions);
    for start in (0..positions).step_by(ROWS) {
        let count = ROWS.min(positions - start);
        let data = embeds.clone().narrow(0, start, count).into_data();
        let bytes = data.as_bytes();
        marks.extend(bytes.chunks(bytes.len() / count).map(|row| hasher.hash_one(row)));
    }
    marks
}
