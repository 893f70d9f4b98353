//! Keys and values in the order in which the tiles read them.

use super::Heads;
use crate::threads::for_each_if;

/// `R` rows of the left operand of a tile, next to each other.
pub(super) struct Packed<const R: usize> {
    /// `[kv_heads, keys / R, head_dim]` of `R` keys; keys beyond the last are 0.
    keys: Vec<[f32; R]>,
    /// `[kv_heads, head_dim / R, keys]` of `R` elements; elements beyond the last are 0.
    values: Vec<[f32; R]>,
    head_dim: usize,
    key_count: usize,
}

impl<const R: usize> Packed<R> {
    pub(super) fn new(key: Heads<'_>, value: Heads<'_>, enough: bool) -> Self {
        let [kv_heads, key_count, head_dim] = key.shape();
        let (key_groups, dim_groups) = (key_count.div_ceil(R), head_dim.div_ceil(R));
        let mut keys = vec![[0.0; R]; kv_heads * key_groups * head_dim];
        let mut values = vec![[0.0; R]; kv_heads * dim_groups * key_count];
        let heads = keys.chunks_mut(key_groups * head_dim).zip(values.chunks_mut(dim_groups * key_count));
        let heads: Vec<_> = heads.enumerate().collect();
        for_each_if(enough, heads, |(head, (keys, values))| {
            for (group, out) in keys.chunks_exact_mut(head_dim).enumerate() {
                pack_keys(key, head, group * R, out);
            }
            for position in 0..key_count {
                let row = value.row(head, position);
                for (group, elements) in row.chunks(R).enumerate() {
                    values[group * key_count + position][..elements.len()].copy_from_slice(elements);
                }
            }
        });
        Self { keys, values, head_dim, key_count }
    }

    /// The groups of keys of a head, each `head_dim` long.
    #[inline(always)]
    pub(super) fn keys(&self, head: usize) -> &[[f32; R]] {
        let len = self.key_count.div_ceil(R) * self.head_dim;
        &self.keys[head * len..][..len]
    }

    /// The groups of elements of a head's values, each `key_count` long.
    #[inline(always)]
    pub(super) fn values(&self, head: usize) -> &[[f32; R]] {
        let len = self.head_dim.div_ceil(R) * self.key_count;
        &self.values[head * len..][..len]
    }
}

/// Transposes `R` keys.
fn pack_keys<const R: usize>(key: Heads<'_>, head: usize, first: usize, out: &mut [[f32; R]]) {
    for lane in 0..R.min(key.shape()[1] - first) {
        for (out, &x) in out.iter_mut().zip(key.row(head, first + lane)) {
            out[lane] = x;
        }
    }
}
