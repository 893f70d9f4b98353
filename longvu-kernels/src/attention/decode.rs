//! One query: keys and values are read once, in place, by all threads.

use super::{Heads, HeadsMut};
use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};
use rayon::prelude::*;

/// Keys of a task. A key head's scores against it stay in the first cache.
const CHUNK: usize = 256;

/// Heads that a task takes at once: as many sums as registers allow.
const BATCH: usize = 8;

/// What a task found for one of its heads.
struct Partial {
    /// The greatest score.
    max: f32,
    /// The sum of e^(score - max).
    total: f32,
    /// The sum of values weighted by e^(score - max).
    sums: Vec<f32>,
}

pub(super) fn attend(level: Level, query: Heads<'_>, key: Heads<'_>, value: Heads<'_>, out: &HeadsMut<'_>, scale: f32) {
    let ([heads, _, head_dim], [kv_heads, keys, _]) = (query.shape(), key.shape());
    let group = heads / kv_heads;
    let (batches, chunks) = (group.div_ceil(BATCH), keys.div_ceil(CHUNK));
    let work = |task: usize| {
        let (batch, chunk) = (task / chunks, task % chunks);
        let (kv_head, first) = (batch / batches, batch % batches * BATCH);
        let heads = kv_head * group + first..kv_head * group + (first + BATCH).min(group);
        let keys = chunk * CHUNK..keys.min((chunk + 1) * CHUNK);
        level.run(Chunk { query, key, value, scale, kv_head, heads, keys })
    };
    let tasks = kv_heads * batches * chunks;
    let partials: Vec<Vec<Partial>> = if kv_heads * keys * head_dim < 1 << 15 {
        (0..tasks).map(work).collect()
    } else {
        (0..tasks).into_par_iter().map(work).collect()
    };
    for (batch, partials) in partials.chunks(chunks).enumerate() {
        let first = batch / batches * group + batch % batches * BATCH;
        for i in 0..partials[0].len() {
            // SAFETY: this thread alone writes, one row after the other.
            let row = unsafe { out.row(first + i, 0) };
            join(partials.iter().map(|partials| &partials[i]), row);
        }
    }
}

/// Brings the chunks of a head to one maximum, in the order of the keys.
fn join<'a>(partials: impl Iterator<Item = &'a Partial> + Clone, out: &mut [f32]) {
    let max = partials.clone().fold(f32::MIN, |max, partial| if partial.max > max { partial.max } else { max });
    let total: f32 = partials.clone().map(|partial| partial.total * (partial.max - max).exp()).sum();
    out.fill(0.0);
    for partial in partials {
        let weight = (partial.max - max).exp() / total;
        for (out, sum) in out.iter_mut().zip(&partial.sums) {
            *out += sum * weight;
        }
    }
}

/// Some keys, for some heads that share them.
struct Chunk<'a> {
    query: Heads<'a>,
    key: Heads<'a>,
    value: Heads<'a>,
    scale: f32,
    kv_head: usize,
    heads: core::ops::Range<usize>,
    keys: core::ops::Range<usize>,
}

impl Kernel for Chunk<'_> {
    type Out = Vec<Partial>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<Partial> {
        match self.heads.len() {
            1 => self.solve::<S, 1>(s),
            2 => self.solve::<S, 2>(s),
            3 => self.solve::<S, 3>(s),
            4 => self.solve::<S, 4>(s),
            5 => self.solve::<S, 5>(s),
            6 => self.solve::<S, 6>(s),
            7 => self.solve::<S, 7>(s),
            _ => self.solve::<S, BATCH>(s),
        }
    }
}

impl Chunk<'_> {
    #[inline(always)]
    fn solve<S: Simd, const G: usize>(self, s: S) -> Vec<Partial> {
        let head_dim = self.query.shape()[2];
        let columns = head_dim.div_ceil(LANES);
        let mut queries = vec![[[0.0; LANES]; G]; columns];
        for g in 0..G {
            for (i, &x) in self.query.row(self.heads.start + g, 0).iter().enumerate() {
                queries[i / LANES][g][i % LANES] = x * self.scale;
            }
        }
        let mut scores = [[0.0; CHUNK]; G];
        for (i, position) in self.keys.clone().enumerate() {
            let row = score::<S, G>(s, &queries, self.key.row(self.kv_head, position));
            for g in 0..G {
                scores[g][i] = row[g];
            }
        }
        let mut sums = vec![[[0.0; LANES]; G]; columns];
        let mut found = Vec::with_capacity(G);
        for scores in &mut scores {
            found.push(soften(s, &mut scores[..self.keys.len()]));
        }
        self.weigh::<S, G>(s, &scores, &mut sums);
        let mut partials = Vec::with_capacity(G);
        for (g, (max, total)) in found.into_iter().enumerate() {
            let sums = (0..head_dim).map(|i| sums[i / LANES][g][i % LANES]).collect();
            partials.push(Partial { max, total, sums });
        }
        partials
    }

    /// Adds the weighted values, four keys to each load of the sums.
    #[inline(always)]
    fn weigh<S: Simd, const G: usize>(&self, s: S, weights: &[[f32; CHUNK]; G], sums: &mut [[[f32; LANES]; G]]) {
        for i in (0..self.keys.len()).step_by(4) {
            let count = (self.keys.len() - i).min(4);
            // A chunk's last keys are repeated, with weights of 0: a repeated row is finite where the row itself is.
            let mut rows = [self.value.row(self.kv_head, self.keys.start + i); 4];
            let mut factors = [[0.0; 4]; G];
            for k in 0..count {
                rows[k] = self.value.row(self.kv_head, self.keys.start + i + k);
                for g in 0..G {
                    factors[g][k] = weights[g][i + k];
                }
            }
            for (column, sums) in sums.iter_mut().enumerate() {
                let mut values = [s.splat(0.0); 4];
                for k in 0..4 {
                    values[k] = load_column(s, rows[k], column);
                }
                for g in 0..G {
                    let mut sum = s.load(&sums[g]);
                    for k in 0..4 {
                        sum = s.fma(s.splat(factors[g][k]), values[k], sum);
                    }
                    s.store(&mut sums[g], sum);
                }
            }
        }
    }
}

/// Sixteen elements of a row, or those that are left.
#[inline(always)]
fn load_column<S: Simd>(s: S, row: &[f32], column: usize) -> S::F {
    let (columns, rest) = row.as_chunks::<LANES>();
    if let Some(whole) = columns.get(column) { s.load(whole) } else { s.load_part(rest, 0.0) }
}

/// A key against every query.
#[inline(always)]
fn score<S: Simd, const G: usize>(s: S, queries: &[[[f32; LANES]; G]], key: &[f32]) -> [f32; G] {
    let mut sums = [s.splat(0.0); G];
    for (column, queries) in queries.iter().enumerate() {
        let key = load_column(s, key, column);
        for g in 0..G {
            sums[g] = s.fma(s.load(&queries[g]), key, sums[g]);
        }
    }
    let mut out = [0.0; G];
    for g in 0..G {
        out[g] = s.sum(sums[g]);
    }
    out
}

/// Scores to e^(score - max); returns the maximum, finite, and the sum.
#[inline(always)]
fn soften<S: Simd>(s: S, scores: &mut [f32]) -> (f32, f32) {
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    let mut max = s.load_part(rest, f32::MIN);
    for x in &*blocks {
        max = s.max(s.load(x), max);
    }
    let max = s.max_lane(s.max(max, s.splat(f32::MIN)));
    let powers = math::exp(s, s.sub(s.load_part(rest, f32::NEG_INFINITY), s.splat(max)));
    let mut total = powers;
    s.store_part(rest, powers);
    for x in blocks {
        let powers = math::exp(s, s.sub(s.load(x), s.splat(max)));
        total = s.add(total, powers);
        s.store(x, powers);
    }
    (max, s.sum(total))
}
