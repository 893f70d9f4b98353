//! Attention that never forms the matrix of scores.

mod arithmetic;
mod batch;
mod decode;
mod pack;
mod prefill;
mod view;

pub use batch::{BatchShape, attention_batch};
pub use view::{Heads, HeadsMut};

use crate::isa::Isa;
use crate::simd::Level;
use arithmetic::{Brain, Single};

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

/// [`attention()`] with both products in bfloat16 where the machine has instructions for them, and sums and softmax in `f32`;
/// [`attention()`] itself elsewhere, and of one query.
///
/// Operands are rounded to nearest: an error of 2^-8 of the greatest value or so.
///
/// # Panics
/// As [`attention()`].
pub fn attention_bf16(
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    out: &mut HeadsMut<'_>,
    scale: f32,
    causal: bool,
) {
    attention_bf16_at(Isa::used(), query, key, value, out, scale, causal);
}

pub(crate) fn attention_bf16_at(
    isa: Isa,
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    out: &mut HeadsMut<'_>,
    scale: f32,
    causal: bool,
) {
    assert!(isa.is_present(), "{isa}");
    let (level, queries) = (Level::of(isa), query.shape()[1]);
    if isa.bf16_products().is_none() || queries <= 1 {
        return attention_at(level, query, key, value, out, scale, causal);
    }
    check(query, key, value, out, causal);
    if query.shape()[0] > 0 {
        // SAFETY: the machine has the instruction.
        prefill::attend(unsafe { Brain::new() }, level, [query, key, value], out, scale, causal);
    }
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
    check(query, key, value, out, causal);
    let [heads, queries, _] = query.shape();
    if heads == 0 || queries == 0 {
        return;
    }
    if queries == 1 {
        decode::attend(level, query, key, value, out, scale);
    } else {
        prefill::attend(Single, level, [query, key, value], out, scale, causal);
    }
}

/// Checks the shapes against each other.
fn check(query: Heads<'_>, key: Heads<'_>, value: Heads<'_>, out: &HeadsMut<'_>, causal: bool) {
    assert_eq!(query.shape(), out.shape(), "query and out");
    assert_eq!(key.shape(), value.shape(), "key and value");
    let ([heads, queries, head_dim], [kv_heads, keys, key_dim]) = (query.shape(), key.shape());
    assert_eq!(head_dim, key_dim, "elements of a head");
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads on {kv_heads} key heads");
    assert!(keys > 0 && (!causal || keys >= queries), "{queries} queries on {keys} keys");
}
