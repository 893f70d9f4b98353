use super::{assert_close, assert_same_on_any_threads, noise};
use crate::attention::{attention_at, attention_bf16_at};
use crate::isa::Isa;
use crate::simd::Level;
use crate::{Heads, HeadsMut, attention};
use proptest::prelude::*;

/// The problem, everything `[heads, positions, head_dim]` without gaps.
struct Case {
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    dim: usize,
    causal: bool,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
}

impl Case {
    fn new(seed: u64, [heads, kv_heads, queries, keys, dim]: [usize; 5], causal: bool) -> Self {
        let (query, key) = (noise(seed, heads * queries * dim, 2.0), noise(seed ^ 1, kv_heads * keys * dim, 2.0));
        let value = noise(seed ^ 2, kv_heads * keys * dim, 1.0);
        Self { heads, kv_heads, queries, keys, dim, causal, query, key, value }
    }

    fn scale(&self) -> f32 {
        (self.dim as f32).powf(-0.5)
    }

    fn reference(&self) -> Vec<f64> {
        let (dim, mut out) = (self.dim, Vec::new());
        let row = |data: &[f32], row: usize| data[row * dim..][..dim].iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        for head in 0..self.heads {
            let kv_head = head / (self.heads / self.kv_heads);
            for i in 0..self.queries {
                let query = row(&self.query, head * self.queries + i);
                let seen = if self.causal { self.keys - self.queries + i + 1 } else { self.keys };
                let score = |j| {
                    let key = row(&self.key, kv_head * self.keys + j);
                    query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() * f64::from(self.scale())
                };
                let scores: Vec<f64> = (0..seen).map(score).collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                let mut sums = vec![0.0; dim];
                for (j, score) in scores.iter().enumerate() {
                    let value = row(&self.value, kv_head * self.keys + j);
                    sums.iter_mut().zip(value).for_each(|(sum, v)| *sum += (score - max).exp() / total * v);
                }
                out.extend(sums);
            }
        }
        out
    }

    fn run(&self, level: Level) -> Vec<f32> {
        self.run_by(|[query, key, value], out| attention_at(level, query, key, value, out, self.scale(), self.causal))
    }

    fn run_bf16(&self, isa: Isa) -> Vec<f32> {
        self.run_by(|[query, key, value], out| {
            attention_bf16_at(isa, query, key, value, out, self.scale(), self.causal)
        })
    }

    fn run_by(&self, attend: impl FnOnce([Heads<'_>; 3], &mut HeadsMut<'_>)) -> Vec<f32> {
        let mut out = vec![0.0; self.query.len()];
        let operands = [
            Heads::by_head(&self.query, [self.heads, self.queries, self.dim]),
            Heads::by_head(&self.key, [self.kv_heads, self.keys, self.dim]),
            Heads::by_head(&self.value, [self.kv_heads, self.keys, self.dim]),
        ];
        attend(operands, &mut HeadsMut::by_head(&mut out, [self.heads, self.queries, self.dim]));
        out
    }

    fn check(&self) {
        let expected = self.reference();
        for level in Level::all() {
            assert_close(&self.run(level), &expected, 3e-6, 0.0);
        }
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_present()) {
            let tolerance = if isa.bf16_products().is_some() && self.queries > 1 { 4e-2 } else { 3e-6 };
            assert_close(&self.run_bf16(isa), &expected, tolerance, 0.0);
        }
    }
}

/// `[heads, positions, dim]` to `[positions, heads, dim]`.
fn by_position(data: &[f32], heads: usize, positions: usize, dim: usize) -> Vec<f32> {
    (0..data.len())
        .map(|i| (i / dim / heads, i / dim % heads, i % dim))
        .map(|(position, head, j)| data[(head * positions + position) * dim + j])
        .collect()
}

#[test]
fn blocks_and_panels_join_seamlessly() {
    for (queries, keys) in [(2, 127), (31, 128), (33, 129), (97, 257), (1, 256), (1, 257), (1, 1000)] {
        for dim in [8, 64, 72, 128] {
            Case::new(5, [2, 1, queries, keys, dim], true).check();
            Case::new(6, [1, 1, queries, keys, dim], false).check();
        }
    }
}

#[test]
fn many_heads_share_a_key_head() {
    for group in 1..=17 {
        Case::new(7, [2 * group, 2, 1, 70, 24], false).check();
    }
    Case::new(8, [12, 3, 9, 40, 20], true).check();
}

#[test]
fn other_layouts_and_caches_are_read_in_place() {
    for queries in [1, 7] {
        let case = Case::new(9, [6, 2, queries, 19, 12], true);
        let expected = case.run(Level::best());
        let (heads, kv_heads, keys, dim, capacity) = (case.heads, case.kv_heads, case.keys, case.dim, 32);
        let mut cache = vec![f32::NAN; kv_heads * capacity * dim];
        for head in 0..kv_heads {
            cache[head * capacity * dim..][..keys * dim].copy_from_slice(&case.key[head * keys * dim..][..keys * dim]);
        }
        let query = by_position(&case.query, heads, queries, dim);
        let value = by_position(&case.value, kv_heads, keys, dim);
        let mut out = vec![0.0; case.query.len()];
        attention(
            Heads::by_position(&query, [heads, queries, dim]),
            Heads::new(&cache, [kv_heads, keys, dim], [capacity * dim, dim]),
            Heads::by_position(&value, [kv_heads, keys, dim]),
            &mut HeadsMut::by_position(&mut out, [heads, queries, dim]),
            case.scale(),
            true,
        );
        assert_eq!(out, by_position(&expected, heads, queries, dim));
    }
}

#[test]
fn extreme_scores() {
    for queries in [1, 3] {
        for size in [0.0, 1e-30, 300.0] {
            let mut case = Case::new(10, [2, 2, queries, 150, 16], false);
            case.query.iter_mut().for_each(|x| *x *= size);
            let expected = case.reference();
            for level in Level::all() {
                assert_close(&case.run(level), &expected, 1e-3, 0.0);
            }
        }
        // Keys of minus infinity count for nothing, wherever they stand.
        let mut case = Case::new(11, [1, 1, queries, 300, 4], false);
        case.query.fill(1.0);
        case.key[..4 * 290].fill(f32::NEG_INFINITY);
        case.check();
        // A query that sees nothing else, or a NaN, gives NaN.
        for (end, fill) in [(300, f32::NEG_INFINITY), (1, f32::NAN)] {
            case.key[..4 * end].fill(fill);
            for level in Level::all() {
                assert!(case.run(level).iter().all(|x| x.is_nan()));
            }
        }
    }
}

#[test]
#[should_panic(expected = "overlap")]
fn overlapping_outputs_are_refused() {
    let _ = HeadsMut::new(&mut [0.0; 64], [2, 2, 8], [8, 8]);
}

#[test]
#[should_panic(expected = "does not fit")]
fn short_slices_are_refused() {
    let _ = Heads::by_head(&[0.0; 31], [2, 2, 8]);
}

#[test]
fn threads_change_nothing() {
    for queries in [1, 70] {
        let case = Case::new(12, [6, 3, queries, 700, 40], true);
        assert_same_on_any_threads(|| case.run(Level::best()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn attention_equals_the_reference(
        seed: u64,
        kv_heads in 1usize..3,
        group in 1usize..4,
        queries in 1usize..50,
        more in 0usize..150,
        dim in 4usize..90,
        causal: bool,
    ) {
        Case::new(seed, [kv_heads * group, kv_heads, queries, queries + more, dim], causal).check();
    }
}
