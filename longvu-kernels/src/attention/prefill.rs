//! Many queries: tiles of keys by queries, with an online softmax down the keys.
//!
//! Queries are the lanes of vectors. A tile of scores is the product of packed keys, broadcast, and transposed queries;
//! maxima and sums over keys then need no work across lanes, and the second product takes the same shape, of packed
//! values, broadcast, and the tile of probabilities.

use super::pack::Packed;
use super::{Heads, HeadsMut};
use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd, Tile};
use crate::threads::for_each_if;
use core::f32::consts::LOG2_E;

/// Groups of keys in a block: the block's scores stay in the first cache, its keys and values in the second.
const GROUPS: usize = 16;

/// Products of elements, of a fortieth of a millisecond, that are worth several threads.
const ENOUGH: usize = 1 << 20;

/// `V` vectors of queries, one lane each.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Row<const V: usize>([[f32; LANES]; V]);

impl<const V: usize> Row<V> {
    const ZERO: Self = Self([[0.0; LANES]; V]);

    #[inline(always)]
    fn load<S: Simd>(&self, s: S) -> [S::F; V] {
        let mut out = [s.splat(0.0); V];
        for v in 0..V {
            out[v] = s.load(&self.0[v]);
        }
        out
    }

    #[inline(always)]
    fn store<S: Simd>(&mut self, s: S, x: [S::F; V]) {
        for v in 0..V {
            s.store(&mut self.0[v], x[v]);
        }
    }

    #[inline(always)]
    fn lane(&mut self, lane: usize) -> &mut f32 {
        &mut self.0[lane / LANES][lane % LANES]
    }
}

/// The whole problem.
#[derive(Clone, Copy)]
struct Problem<'a> {
    query: Heads<'a>,
    out: &'a HeadsMut<'a>,
    scale: f32,
    causal: bool,
    key_count: usize,
    /// Heads that share a key head.
    group: usize,
}

pub(super) fn attend(
    level: Level,
    query: Heads<'_>,
    key: Heads<'_>,
    value: Heads<'_>,
    out: &HeadsMut<'_>,
    scale: f32,
    causal: bool,
) {
    let [kv_heads, key_count, _] = key.shape();
    let problem = Problem { query, out, scale, causal, key_count, group: query.shape()[0] / kv_heads };
    match level.run(TileOf) {
        Tile::Rows8Vectors2 => problem.solve::<8, 2>(level, key, value),
        Tile::Rows6Vectors1 => problem.solve::<6, 1>(level, key, value),
        Tile::Rows4Vectors1 => problem.solve::<4, 1>(level, key, value),
    }
}

/// Asks a level for its tile.
struct TileOf;

impl Kernel for TileOf {
    type Out = Tile;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Tile {
        S::TILE
    }
}

impl Problem<'_> {
    fn solve<const R: usize, const V: usize>(self, level: Level, key: Heads<'_>, value: Heads<'_>) {
        let [heads, queries, head_dim] = self.query.shape();
        let enough = heads * queries * self.key_count * head_dim >= ENOUGH;
        let packed = Packed::<R>::new(key, value, enough);
        let panels = queries.div_ceil(V * LANES);
        // Late queries see more keys; taking them first leaves the short tasks for the end.
        for_each_if(enough, 0..heads * panels, |task| {
            let (head, first) = (task / panels, (panels - 1 - task % panels) * V * LANES);
            level.run(Panel { problem: self, packed: &packed, head, first }.with_rows::<V>());
        });
    }
}

/// `V * LANES` queries of a head.
struct Panel<'a, const R: usize> {
    problem: Problem<'a>,
    packed: &'a Packed<R>,
    head: usize,
    first: usize,
}

impl<'a, const R: usize> Panel<'a, R> {
    fn with_rows<const V: usize>(self) -> State<'a, R, V> {
        let head_dim = self.problem.query.shape()[2];
        State {
            query: vec![Row::ZERO; head_dim],
            scores: vec![Row::ZERO; GROUPS * R],
            sums: vec![Row::ZERO; head_dim.next_multiple_of(R)],
            max: Row([[f32::MIN; LANES]; V]),
            total: Row::ZERO,
            panel: self,
        }
    }
}

/// A panel's running result.
struct State<'a, const R: usize, const V: usize> {
    panel: Panel<'a, R>,
    /// `[head_dim]`, scaled so that scores are exponents of 2.
    query: Vec<Row<V>>,
    /// `[keys of a block]`.
    scores: Vec<Row<V>>,
    /// `[head_dim]`, sums of values weighted by 2^(score - max).
    sums: Vec<Row<V>>,
    /// The greatest score so far; finite, so that differences are never of two infinities.
    max: Row<V>,
    /// The sum of 2^(score - max).
    total: Row<V>,
}

impl<const R: usize, const V: usize> Kernel for State<'_, R, V> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        self.load_queries();
        let problem = self.panel.problem;
        // The last query of the panel sees the keys below this one.
        let queries = problem.query.shape()[1];
        let last = (self.panel.first + V * LANES).min(queries);
        let end = if problem.causal { problem.key_count - queries + last } else { problem.key_count };
        for first in (0..end).step_by(GROUPS * R) {
            let count = (end - first).min(GROUPS * R);
            self.score(s, first, count);
            if problem.causal {
                self.hide(first, count);
            }
            let decay = self.soften(s, count);
            self.weigh(s, first, count, decay);
        }
        self.finish();
    }
}

impl<const R: usize, const V: usize> State<'_, R, V> {
    fn load_queries(&mut self) {
        let Panel { problem, head, first, .. } = self.panel;
        let scale = problem.scale * LOG2_E;
        for lane in 0..(V * LANES).min(problem.query.shape()[1] - first) {
            for (out, &x) in self.query.iter_mut().zip(problem.query.row(head, first + lane)) {
                *out.lane(lane) = x * scale;
            }
        }
    }

    /// Scores of the keys from `first`.
    #[inline(always)]
    fn score<S: Simd>(&mut self, s: S, first: usize, count: usize) {
        let head_dim = self.query.len();
        let keys = &self.panel.packed.keys(self.panel.head / self.panel.problem.group)[first / R * head_dim..];
        let groups = keys.chunks_exact(head_dim).zip(self.scores.chunks_exact_mut(R));
        for (keys, out) in groups.take(count.div_ceil(R)) {
            let tile = multiply(s, keys, &self.query, [[s.splat(0.0); V]; R]);
            for r in 0..R {
                out[r].store(s, tile[r]);
            }
        }
    }

    /// Minus infinity for keys that stand after a query.
    fn hide(&mut self, first: usize, count: usize) {
        let Problem { query, key_count, .. } = self.panel.problem;
        let seen = key_count - query.shape()[1] + self.panel.first;
        for (key, row) in (first..).zip(&mut self.scores[..count]) {
            for lane in 0..key.saturating_sub(seen).min(V * LANES) {
                *row.lane(lane) = f32::NEG_INFINITY;
            }
        }
    }

    /// Scores to powers of 2; returns by how much older sums shrink.
    #[inline(always)]
    fn soften<S: Simd>(&mut self, s: S, count: usize) -> [S::F; V] {
        let scores = &mut self.scores[..count];
        let old = self.max.load(s);
        let mut max = old;
        for row in &*scores {
            let row = row.load(s);
            for v in 0..V {
                max[v] = s.max(row[v], max[v]);
            }
        }
        self.max.store(s, max);
        let mut decay = old;
        let mut total = self.total.load(s);
        for v in 0..V {
            decay[v] = math::exp2(s, s.sub(old[v], max[v]));
            total[v] = s.mul(total[v], decay[v]);
        }
        for row in scores {
            let mut power = row.load(s);
            for v in 0..V {
                power[v] = math::exp2(s, s.sub(power[v], max[v]));
                total[v] = s.add(total[v], power[v]);
            }
            row.store(s, power);
        }
        self.total.store(s, total);
        decay
    }

    /// Adds the weighted values of the keys from `first`.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, s: S, first: usize, count: usize, decay: [S::F; V]) {
        let Panel { problem, packed, head, .. } = self.panel;
        let groups = packed.values(head / problem.group).chunks_exact(problem.key_count);
        for (values, sums) in groups.zip(self.sums.chunks_exact_mut(R)) {
            let mut tile = [[s.splat(0.0); V]; R];
            for r in 0..R {
                let sum = sums[r].load(s);
                for v in 0..V {
                    tile[r][v] = s.mul(sum[v], decay[v]);
                }
            }
            let tile = multiply(s, &values[first..first + count], &self.scores[..count], tile);
            for r in 0..R {
                sums[r].store(s, tile[r]);
            }
        }
    }

    fn finish(&mut self) {
        let Panel { problem, head, first, .. } = self.panel;
        for lane in 0..(V * LANES).min(problem.query.shape()[1] - first) {
            let inverse = 1.0 / *self.total.lane(lane);
            // SAFETY: a row belongs to one panel, and a panel to one task.
            let out = unsafe { problem.out.row(head, first + lane) };
            for (out, sum) in out.iter_mut().zip(&mut self.sums) {
                *out = *sum.lane(lane) * inverse;
            }
        }
    }
}

/// `tile[r] += left[k][r] * right[k]` over all k.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const V: usize>(
    s: S,
    left: &[[f32; R]],
    right: &[Row<V>],
    mut tile: [[S::F; V]; R],
) -> [[S::F; V]; R] {
    for (left, right) in left.iter().zip(right) {
        let right = right.load(s);
        for r in 0..R {
            let factor = s.splat(left[r]);
            for v in 0..V {
                tile[r][v] = s.fma(factor, right[v], tile[r][v]);
            }
        }
    }
    tile
}
