//! Attention of several sequences of one length.

use super::{Heads, HeadsMut, attention_at};
use crate::simd::Level;
use crate::threads::for_each_if;

/// Products of elements that are worth several threads, as for a single sequence.
const ENOUGH: usize = 1 << 20;

/// The sizes of a batch: queries and outputs are `[batch, queries, heads, head_dim]`, keys and values
/// `[batch, keys, kv_heads, head_dim]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchShape {
    /// Sequences.
    pub batch: usize,
    /// Query positions of a sequence.
    pub queries: usize,
    /// Key positions of a sequence.
    pub keys: usize,
    /// Query heads.
    pub heads: usize,
    /// Key heads; head `h` reads key head `h / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

impl BatchShape {
    /// Elements of a sequence's queries.
    pub(crate) fn query_len(&self) -> usize {
        self.queries * self.heads * self.head_dim
    }

    /// Elements of a sequence's keys.
    pub(crate) fn key_len(&self) -> usize {
        self.keys * self.kv_heads * self.head_dim
    }

    /// `[heads, queries, head_dim]` of a sequence.
    pub(crate) fn of_query(&self) -> [usize; 3] {
        [self.heads, self.queries, self.head_dim]
    }

    /// `[kv_heads, keys, head_dim]` of a sequence.
    pub(crate) fn of_key(&self) -> [usize; 3] {
        [self.kv_heads, self.keys, self.head_dim]
    }

    /// Whether there is enough to do for several threads.
    pub(crate) fn is_enough(&self) -> bool {
        self.batch * self.query_len() * self.keys >= ENOUGH
    }

    /// Checks the sizes against each other, and the lengths of what lies as queries do and of what lies as keys do.
    pub(crate) fn check<const Q: usize, const K: usize>(&self, queries: [&[f32]; Q], keys: [&[f32]; K], causal: bool) {
        let fit = |slices: &[&[f32]], len| slices.iter().all(|x| x.len() == self.batch * len);
        assert!(fit(&queries, self.query_len()) && fit(&keys, self.key_len()), "slices of {self:?}");
        assert!(self.head_dim > 0 && self.keys > 0, "no keys in {self:?}");
        assert!(self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads), "heads of {self:?}");
        assert!(!causal || self.keys >= self.queries, "queries before the first key of {self:?}");
    }
}

/// [`attention`](crate::attention()) of every sequence: query and out are `[batch, queries, heads, head_dim]`, key and value
/// `[batch, keys, kv_heads, head_dim]`. With `causal`, query `i` sees the keys up to `i + keys - queries`.
///
/// # Panics
/// If the lengths do not fit, there is no key, or a causal query would stand before the first key.
pub fn attention_batch(
    shape: BatchShape,
    query: &[f32],
    key: &[f32],
    value: &[f32],
    out: &mut [f32],
    scale: f32,
    causal: bool,
) {
    shape.check([query, out], [key, value], causal);
    if out.is_empty() {
        return;
    }
    let (level, query_len, key_len) = (Level::best(), shape.query_len(), shape.key_len());
    let inputs = query.chunks(query_len).zip(key.chunks(key_len)).zip(value.chunks(key_len));
    let sequences: Vec<_> = inputs.zip(out.chunks_mut(query_len)).collect();
    for_each_if(shape.batch > 1 && shape.is_enough(), sequences, |(((query, key), value), out)| {
        attention_at(
            level,
            Heads::by_position(query, shape.of_query()),
            Heads::by_position(key, shape.of_key()),
            Heads::by_position(value, shape.of_key()),
            &mut HeadsMut::by_position(out, shape.of_query()),
            scale,
            causal,
        );
    });
}
