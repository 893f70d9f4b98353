//! One query: keys and values are read once, in place, by all threads.

use super::{Heads, HeadsMut};
use crate::math;
use crate::simd::{Aligned, Kernel, LANES, Level, Simd};
use rayon::prelude::*;

/// Keys of a task, a multiple of 4. Scores against them stay in the first cache, their values in the second.
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
        let mut queries = vec![Aligned([[0.0; LANES]; G]); columns];
        for g in 0..G {
            for (i, &x) in self.query.row(self.heads.start + g, 0).iter().enumerate() {
                queries[i / LANES].0[g][i % LANES] = x * self.scale;
            }
        }
        let mut scores = [[0.0; CHUNK]; G];
        for i in (0..self.keys.len()).step_by(4) {
            // A chunk's last key is repeated, and its scores overwritten.
            let mut rows = [self.key.row(self.kv_head, self.keys.start + i); 4];
            for k in 0..4 {
                let position = (self.keys.start + i + k).min(self.keys.end - 1);
                rows[k] = self.key.row(self.kv_head, position);
                fetch(s, self.value.row(self.kv_head, position));
            }
            for g in 0..G {
                scores[g][i..i + 4].copy_from_slice(&score::<S, G>(s, &queries, g, rows));
            }
        }
        let mut sums = vec![Aligned([[0.0; LANES]; G]); columns];
        let mut found = Vec::with_capacity(G);
        for scores in &mut scores {
            found.push(soften(s, &mut scores[..self.keys.len()]));
        }
        self.weigh::<S, G>(s, &scores, &mut sums);
        let mut partials = Vec::with_capacity(G);
        for (g, (max, total)) in found.into_iter().enumerate() {
            let sums = (0..head_dim).map(|i| sums[i / LANES].0[g][i % LANES]).collect();
            partials.push(Partial { max, total, sums });
        }
        partials
    }

    /// Adds the weighted values, four keys to each load of the sums.
    #[inline(always)]
    fn weigh<S: Simd, const G: usize>(
        &self,
        s: S,
        weights: &[[f32; CHUNK]; G],
        sums: &mut [Aligned<[[f32; LANES]; G]>],
    ) {
        for i in (0..self.keys.len()).step_by(4) {
            let count = (self.keys.len() - i).min(4);
            // A chunk's last keys are repeated, with weights of 0: a repeated row is finite where the row itself is.
            let mut rows = [self.value.row(self.kv_head, self.keys.start + i); 4];
            let mut factors = [[0.0; 4]; G];
            for k in 0..count {
                let position = self.keys.start + i + k;
                rows[k] = self.value.row(self.kv_head, position);
                // The chunk after this one is most likely this thread's next.
                if position + CHUNK < self.key.shape()[1] {
                    fetch(s, self.key.row(self.kv_head, position + CHUNK));
                }
                for g in 0..G {
                    factors[g][k] = weights[g][i + k];
                }
            }
            let (whole, tails) = columns(rows);
            for (values, sums) in whole.zip(sums.iter_mut()) {
                add::<S, G>(
                    s,
                    [s.load(values.0), s.load(values.1), s.load(values.2), s.load(values.3)],
                    &factors,
                    sums,
                );
            }
            if let (Some(tails), Some(sums)) = (tails, sums.last_mut()) {
                add::<S, G>(s, load_tails(s, tails), &factors, sums);
            }
        }
    }
}

/// Adds four weighted values to each sum.
#[inline(always)]
fn add<S: Simd, const G: usize>(
    s: S,
    values: [S::F; 4],
    factors: &[[f32; 4]; G],
    sums: &mut Aligned<[[f32; LANES]; G]>,
) {
    for g in 0..G {
        let mut sum = s.load(&sums.0[g]);
        for k in 0..4 {
            sum = s.fma(s.splat(factors[g][k]), values[k], sum);
        }
        s.store(&mut sums.0[g], sum);
    }
}

/// A vector of each of four rows.
type Column<'a> = (&'a [f32; LANES], &'a [f32; LANES], &'a [f32; LANES], &'a [f32; LANES]);

/// The whole vectors of four rows of one length, and what is left of them.
#[inline(always)]
fn columns(rows: [&[f32]; 4]) -> (impl Iterator<Item = Column<'_>>, Option<[&[f32]; 4]>) {
    let [a, b, c, d] = [rows[0].as_chunks(), rows[1].as_chunks(), rows[2].as_chunks(), rows[3].as_chunks()];
    let whole = a.0.iter().zip(b.0).zip(c.0).zip(d.0).map(|(((a, b), c), d)| (a, b, c, d));
    (whole, (!a.1.is_empty()).then_some([a.1, b.1, c.1, d.1]))
}

#[inline(always)]
fn load_tails<S: Simd>(s: S, tails: [&[f32]; 4]) -> [S::F; 4] {
    [s.load_part(tails[0], 0.0), s.load_part(tails[1], 0.0), s.load_part(tails[2], 0.0), s.load_part(tails[3], 0.0)]
}

/// Asks for a row that is needed soon.
#[inline(always)]
fn fetch<S: Simd>(s: S, row: &[f32]) {
    for line in row.chunks(LANES) {
        s.prefetch(&line[0], 0);
    }
}

/// Four keys against a query.
#[inline(always)]
fn score<S: Simd, const G: usize>(
    s: S,
    queries: &[Aligned<[[f32; LANES]; G]>],
    g: usize,
    keys: [&[f32]; 4],
) -> [f32; 4] {
    let mut sums = [s.splat(0.0); 4];
    let (whole, tails) = columns(keys);
    for (keys, queries) in whole.zip(queries) {
        let query = s.load(&queries.0[g]);
        sums[0] = s.fma(query, s.load(keys.0), sums[0]);
        sums[1] = s.fma(query, s.load(keys.1), sums[1]);
        sums[2] = s.fma(query, s.load(keys.2), sums[2]);
        sums[3] = s.fma(query, s.load(keys.3), sums[3]);
    }
    if let (Some(tails), Some(queries)) = (tails, queries.last()) {
        let (query, keys) = (s.load(&queries.0[g]), load_tails(s, tails));
        for k in 0..4 {
            sums[k] = s.fma(query, keys[k], sums[k]);
        }
    }
    s.sum4(sums)
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
