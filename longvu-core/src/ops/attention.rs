//! Scaled dot-product attention.

use burn::tensor::{Bool, Tensor, TensorData, activation};

use super::Precision;
#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;

/// Rows of scores computed at a time, which bounds the score matrix of a long prompt.
const QUERY_CHUNK: usize = 512;

/// Full attention: every query sees every key that `mask` does not hide.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, head_dim]`
/// - `key`, `value`: `[batch, heads, keys, head_dim]`
/// - `mask`: broadcastable to `[batch, heads, queries, keys]`, true where a key is hidden
/// - output: `[batch, heads, queries, head_dim]`
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, mask: Option<Tensor<4, Bool>>) -> Tensor<4> {
    attention_in(Precision::F32, query, key, value, mask)
}

/// [`attention`] with products in `precision`.
pub fn attention_in(
    precision: Precision,
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask: Option<Tensor<4, Bool>>,
) -> Tensor<4> {
    let _ = precision;
    let [batch, heads, queries, head_dim] = query.dims();
    // Single queries come in large batches, of which burn's matrix products make better use.
    #[cfg(feature = "flex")]
    if mask.is_none()
        && queries > 1
        && cpu::applies(&query)
        && cpu::applies(&key)
        && cpu::applies(&value)
        && let Some(out) = cpu::attention(precision, query.clone(), key.clone(), value.clone(), false)
    {
        return out;
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if mask.is_none()
        && [&query, &key, &value].into_iter().all(grad::applies)
        && let Some(out) = grad::attention(query.clone(), key.clone(), value.clone(), false)
    {
        return out;
    }
    let keys = key.dims()[2];
    let mut scores = query.matmul(key.transpose()) * (head_dim as f64).powf(-0.5);
    if let Some(mask) = mask {
        scores = scores.mask_fill(mask.expand([batch, heads, queries, keys]), f32::NEG_INFINITY);
    }
    activation::softmax(scores, 3).matmul(value)
}

/// Causal attention of the last positions of a sequence, with fewer key and value heads than query heads.
///
/// Query `i` of `n` stands at position `keys - n + i` and sees keys up to its own position.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, head_dim]`
/// - `key`, `value`: `[batch, kv_heads, keys, head_dim]` with `heads` a multiple of `kv_heads` and `keys >= queries`
/// - output: `[batch, heads, queries, head_dim]`
pub fn causal_attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    causal_attention_in(Precision::F32, query, key, value)
}

/// [`causal_attention`] with products in `precision`; of one query always in f32.
pub fn causal_attention_in(precision: Precision, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if cpu::applies(&query)
        && cpu::applies(&key)
        && cpu::applies(&value)
        && let Some(out) = cpu::attention(precision, query.clone(), key.clone(), value.clone(), true)
    {
        return out;
    }
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    if [&query, &key, &value].into_iter().all(grad::applies)
        && let Some(out) = grad::attention(query.clone(), key.clone(), value.clone(), true)
    {
        return out;
    }
    let [batch, heads, queries, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    let groups = heads / kv_heads;
    let before = keys - queries;
    let mut outputs = Vec::with_capacity(queries.div_ceil(QUERY_CHUNK));
    for start in (0..queries).step_by(QUERY_CHUNK) {
        let rows = QUERY_CHUNK.min(queries - start);
        let seen = before + start + rows;
        // The query heads that share a key head become rows of one product, so that keys are not repeated.
        let chunk = query.clone().narrow(2, start, rows).reshape([batch, kv_heads, groups * rows, head_dim]);
        let mask = (rows > 1).then(|| causal_mask(rows, seen, groups, &query.device()));
        let out =
            attention_in(precision, chunk, key.clone().narrow(2, 0, seen), value.clone().narrow(2, 0, seen), mask);
        outputs.push(out.reshape([batch, heads, rows, head_dim]));
    }
    if outputs.len() == 1 { outputs.remove(0) } else { Tensor::cat(outputs, 2) }
}

/// `[1, 1, groups * rows, keys]`, true where row `r` of a group would look beyond its position `keys - rows + r`.
fn causal_mask(rows: usize, keys: usize, groups: usize, device: &burn::tensor::Device) -> Tensor<4, Bool> {
    let row = |r: usize| (0..keys).map(move |k| k > keys - rows + r);
    let one: Vec<bool> = (0..rows).flat_map(row).collect();
    let mask = Tensor::<4, Bool>::from_data(TensorData::new(one, [1, 1, rows, keys]), device);
    mask.repeat_dim(2, groups)
}
