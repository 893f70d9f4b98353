//! Scaled dot-product attention.

use burn::tensor::{Bool, DType, Device, Int, Tensor, activation, module, ops::AttentionModuleOptions};

use super::Precision;
#[cfg(feature = "flex")]
use super::cpu;
#[cfg(all(feature = "flex", feature = "autodiff"))]
use super::grad;
use crate::is_cpu;

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
    if mask.is_none() && fuses(&query) {
        return fused(query, key, value, false);
    }
    let keys = key.dims()[2];
    // Queries are scaled rather than scores: they are fewer, and products stay in the range of half precision.
    let mut scores = (query * (head_dim as f64).powf(-0.5)).matmul(key.transpose());
    if let Some(mask) = mask {
        scores = scores.mask_fill(mask.expand([batch, heads, queries, keys]), f32::NEG_INFINITY);
    }
    activation::softmax(scores, 3).matmul(value)
}

/// Whether burn's fused attention is right for `query` and worth it.
///
/// Its kernels multiply in half precision also what is given in float32, and without them it writes scores of half precision
/// before it scales them: for a few queries, where it would win nothing.
fn fuses(query: &Tensor<4>) -> bool {
    let [_, _, queries, head_dim] = query.dims();
    matches!(query.dtype(), DType::F16 | DType::BF16) && queries > head_dim && !is_cpu(&query.device())
}

/// Burn's fused attention, which keeps no scores in memory. Queries are the last of the keys' positions where it is causal.
fn fused(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causal: bool) -> Tensor<4> {
    let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
    module::attention(query, key, value, None, None, options)
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
    if fuses(&query) {
        return fused(query, repeat_heads(key, groups), repeat_heads(value, groups), true);
    }
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

/// Each head `groups` times, side by side: `[batch, heads, n, head_dim]` to `[batch, heads * groups, n, head_dim]`.
fn repeat_heads(x: Tensor<4>, groups: usize) -> Tensor<4> {
    let [batch, heads, n, head_dim] = x.dims();
    if groups == 1 {
        return x;
    }
    x.unsqueeze_dim::<5>(2).expand([batch, heads, groups, n, head_dim]).reshape([batch, heads * groups, n, head_dim])
}

/// `[1, 1, groups * rows, keys]`, true where row `r` of a group would look beyond its position `keys - rows + r`.
fn causal_mask(rows: usize, keys: usize, groups: usize, device: &Device) -> Tensor<4, Bool> {
    let last = Tensor::<1, Int>::arange(0..(groups * rows) as i64, device).remainder_scalar(rows as i64);
    let last = (last + (keys - rows) as i64).reshape([1, 1, groups * rows, 1]);
    Tensor::<1, Int>::arange(0..keys as i64, device).reshape([1, 1, 1, keys]).greater(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_group_see_up_to_their_position() {
        let mask = causal_mask(2, 4, 3, &Device::default());
        assert_eq!(mask.dims(), [1, 1, 6, 4]);
        let hidden: Vec<bool> = mask.into_data().iter::<bool>().collect();
        assert_eq!(hidden, [[false, false, false, true], [false; 4]].concat().repeat(3));
    }

    #[test]
    fn heads_are_repeated_side_by_side() {
        let x = Tensor::<1, Int>::arange(0..4, &Device::default()).float().reshape([1, 2, 2, 1]);
        let repeated: Vec<f32> = repeat_heads(x, 2).into_data().iter().collect();
        assert_eq!(repeated, [0.0, 1.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
    }
}
