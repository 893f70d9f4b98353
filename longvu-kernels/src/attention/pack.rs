//! Keys and values in the order in which the tiles read them.

use super::Heads;
use super::arithmetic::Arithmetic;
use crate::threads::for_each_if;

/// `R` rows of the left operand of a tile, next to each other.
pub(super) struct Packed<A: Arithmetic, const R: usize> {
    /// `[kv_heads, keys / R, words of head_dim]` of `R` keys; keys beyond the last are 0.
    keys: Vec<[A::Word; R]>,
    /// `[kv_heads, head_dim / R, words of keys]` of `R` elements; elements beyond the last are 0.
    values: Vec<[A::Word; R]>,
    /// Words of a key.
    key_words: usize,
    /// Words of an element of all keys.
    value_words: usize,
    key_groups: usize,
    dim_groups: usize,
}

impl<A: Arithmetic, const R: usize> Packed<A, R> {
    pub(super) fn new(key: Heads<'_>, value: Heads<'_>, enough: bool) -> Self {
        let [kv_heads, key_count, head_dim] = key.shape();
        let (key_groups, dim_groups) = (key_count.div_ceil(R), head_dim.div_ceil(R));
        let (key_words, value_words) = (head_dim.div_ceil(A::STEP), key_count.div_ceil(A::STEP));
        let mut keys = vec![[A::Word::default(); R]; kv_heads * key_groups * key_words];
        let mut values = vec![[A::Word::default(); R]; kv_heads * dim_groups * value_words];
        let heads = keys.chunks_mut(key_groups * key_words).zip(values.chunks_mut(dim_groups * value_words));
        let heads: Vec<_> = heads.enumerate().collect();
        for_each_if(enough, heads, |(head, (keys, values))| {
            for (group, out) in keys.chunks_exact_mut(key_words).enumerate() {
                pack_keys::<A, R>(key, head, group * R, out);
            }
            for (word, first) in (0..key_count).step_by(A::STEP).enumerate() {
                let mut out = values[word..].chunks_mut(value_words);
                pack_values::<A, R>(value, head, first, &mut out);
            }
        });
        Self { keys, values, key_words, value_words, key_groups, dim_groups }
    }

    /// The groups of keys of a head, each as long as the words of a key.
    #[inline(always)]
    pub(super) fn keys(&self, head: usize) -> &[[A::Word; R]] {
        let len = self.key_groups * self.key_words;
        &self.keys[head * len..][..len]
    }

    /// The groups of elements of a head's values, each as long as the words of all keys.
    #[inline(always)]
    pub(super) fn values(&self, head: usize) -> &[[A::Word; R]] {
        let len = self.dim_groups * self.value_words;
        &self.values[head * len..][..len]
    }
}

/// Transposes `R` keys.
fn pack_keys<A: Arithmetic, const R: usize>(key: Heads<'_>, head: usize, first: usize, out: &mut [[A::Word; R]]) {
    for lane in 0..R.min(key.shape()[1] - first) {
        for (out, x) in out.iter_mut().zip(key.row(head, first + lane).chunks(A::STEP)) {
            out[lane] = A::word(x);
        }
    }
}

/// Writes a word of each element of the values from `first`; `out` has the rest of each group, from that word on.
fn pack_values<'a, A: Arithmetic, const R: usize>(
    value: Heads<'_>,
    head: usize,
    first: usize,
    out: &mut impl Iterator<Item = &'a mut [[A::Word; R]]>,
) where
    A::Word: 'a,
{
    let rows = [first, first + A::STEP - 1].map(|row| value.row(head, row.min(value.shape()[1] - 1)));
    let count = A::STEP.min(value.shape()[1] - first);
    for (group, out) in out.enumerate() {
        for (lane, out) in out[0].iter_mut().enumerate().take(rows[0].len() - group * R) {
            let element = group * R + lane;
            *out = A::word(&[rows[0][element], rows[1][element]][..count]);
        }
    }
}
