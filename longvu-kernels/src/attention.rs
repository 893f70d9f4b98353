//! Attention that never forms the matrix of scores.

mod batch;
mod decode;
mod pack;
mod prefill;
mod view;

pub use batch::{BatchShape, attention_batch};
pub use view::{Heads, HeadsMut};

use crate::simd::Level;

/// `softmax(query · keyᵀ * scale) · value` of every head.
///
/// Query and out are `[heads, queries, head_dim]`, key and value `[kv_heads, keys, head_dim]`, with any strides between
/// rows; each key head serves `heads / kv_heads` neighbouring heads. With `causal`, query `i` of `n` stands at position
/// `keys - n + i` and sees no key after it. The usual scale is `1 / sqrt(head_dim)`.
///
/// Scores live in tiles of at most 128 keys by 32 queries; keys and values are repacked once, into buffers of their own
/// size. One query on its own reads the keys and values in place, and divides them among the threads. The error against
/// f64 is 2e-6 of the greatest value while scores stay below 30; a query whose scores are all minus infinity, or hold a
/// NaN, gives NaN.
///
/// # Panics
/// If the shapes do not fit each other, there is no key, or a causal query would stand before the first key.
pub fn attention(query: Heads<'_>, key: Heads<'_>, value: Heads<'_>, out: &mut HeadsMut<'_>, scale: f32, causal: bool) {
    attention_at(Level::best(), query, key, value, out, scale, causal);
}

pub(crate) fn attention_at(
    level: Level,
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    out: &mut HeadsMut<'_>,
    scale: f32,
    causal: bool,
) {
    assert_eq!(query.shape(), out.shape(), "query and out");
    assert_eq!(key.shape(), value.shape(), "key and value");
    let ([heads, queries, head_dim], [kv_heads, keys, key_dim]) = (query.shape(), key.shape());
    assert_eq!(head_dim, key_dim, "elements of a head");
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads on {kv_heads} key heads");
    assert!(keys > 0 && (!causal || keys >= queries), "{queries} queries on {keys} keys");
    if heads == 0 || queries == 0 {
        return;
    }
    if queries == 1 {
        decode::attend(level, query, key, value, out, scale);
    } else {
        prefill::attend(level, query, key, value, out, scale, causal);
    }
}
