//! Many queries: tiles of keys by queries, with an online softmax down the keys.
//!
//! Queries are the lanes of vectors. A tile of scores is the product of packed keys, broadcast, and transposed queries;
//! maxima and sums over keys then need no work across lanes, and the second product takes the same shape, of packed
//! values, broadcast, and the tile of probabilities.

use super::arithmetic::{Arithmetic, Row, Single};
use super::pack::{Packed, lines_of};
use super::{Heads, HeadsMut};
use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd, Tile};
use crate::threads::for_each_with_if;
use core::f32::consts::LOG2_E;

/// Groups of keys in a block: the block's scores stay in the first cache, its keys and values in the second.
const GROUPS: usize = 16;

/// Products of elements, of a fortieth of a millisecond, that are worth several threads.
const ENOUGH: usize = 1 << 20;

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

pub(super) fn attend<A: Arithmetic>(
    arithmetic: A,
    level: Level,
    [query, key, value]: [Heads<'_>; 3],
    out: &HeadsMut<'_>,
    scale: f32,
    causal: bool,
) {
    let [kv_heads, key_count, _] = key.shape();
    let problem = Problem { query, out, scale, causal, key_count, group: query.shape()[0] / kv_heads };
    match level.run(TileOf) {
        Tile::Rows8Vectors2 => problem.solve::<A, 8, 2>(arithmetic, level, key, value),
        Tile::Rows6Vectors1 => problem.solve::<A, 6, 1>(arithmetic, level, key, value),
        Tile::Rows4Vectors1 => problem.solve::<A, 4, 1>(arithmetic, level, key, value),
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
    fn solve<A: Arithmetic, const R: usize, const V: usize>(
        self,
        arithmetic: A,
        level: Level,
        key: Heads<'_>,
        value: Heads<'_>,
    ) {
        let [heads, queries, head_dim] = self.query.shape();
        let enough = heads * queries * self.key_count * head_dim >= ENOUGH;
        let packed = Packed::<A, R>::new(arithmetic, level, [key, value], enough);
        let panels = queries.div_ceil(V * LANES);
        let room = || Room::<A, V>::new::<R>(head_dim);
        // Late queries see more keys; taking them first leaves the short tasks for the end.
        for_each_with_if(enough, 0..heads * panels, room, |room, task| {
            let (head, first) = (task / panels, (panels - 1 - task % panels) * V * LANES);
            let panel = Panel { problem: self, packed: &packed, head, first };
            arithmetic.run(level, State { panel, room, max: Row::splat(f32::MIN), total: Row::splat(0.0) });
        });
    }
}

/// `V * LANES` queries of a head.
struct Panel<'a, A: Arithmetic, const R: usize> {
    problem: Problem<'a>,
    packed: &'a Packed<A, R>,
    head: usize,
    first: usize,
}

/// What the panels of a thread use in turn.
struct Room<A: Arithmetic, const V: usize> {
    /// Words of `[head_dim]`, scaled so that scores are exponents of 2.
    query: Vec<Row<A::Word, V>>,
    /// `[keys of a block]`.
    scores: Vec<Row<f32, V>>,
    /// Room for the same as words.
    words: Vec<Row<A::Word, V>>,
    /// `[head_dim]`, sums of values weighted by 2^(score - max).
    sums: Vec<Row<f32, V>>,
}

impl<A: Arithmetic, const V: usize> Room<A, V> {
    fn new<const R: usize>(head_dim: usize) -> Self {
        Self {
            query: vec![Row::splat(A::Word::default()); head_dim.div_ceil(A::STEP)],
            scores: vec![Row::splat(0.0); GROUPS * R],
            words: vec![Row::splat(A::Word::default()); if A::STEP > 1 { GROUPS * R / A::STEP } else { 0 }],
            sums: vec![Row::splat(0.0); head_dim.next_multiple_of(R)],
        }
    }
}

/// A panel's running result.
struct State<'a, A: Arithmetic, const R: usize, const V: usize> {
    panel: Panel<'a, A, R>,
    room: &'a mut Room<A, V>,
    /// The greatest score so far; finite, so that differences are never of two infinities.
    max: Row<f32, V>,
    /// The sum of 2^(score - max).
    total: Row<f32, V>,
}

impl<A: Arithmetic, const R: usize, const V: usize> Kernel for State<'_, A, R, V> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        self.load_queries(s);
        self.room.sums.fill(Row::splat(0.0));
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
            let decay = self.raise_max(s, count);
            self.weigh(s, first, count, decay);
        }
        self.finish(s);
    }
}

impl<A: Arithmetic, const R: usize, const V: usize> State<'_, A, R, V> {
    #[inline(always)]
    fn load_queries<S: Simd>(&mut self, s: S) {
        let Panel { problem, head, first, .. } = self.panel;
        let [_, queries, head_dim] = problem.query.shape();
        let scale = problem.scale * LOG2_E;
        for v in 0..V {
            let first = queries.min(first + v * LANES);
            let row = |lane: usize| problem.query.row(head, first + lane);
            lines_of::<A, S>(s, head_dim, LANES.min(queries - first), row, scale, |word, block| {
                for (out, line) in self.room.query[word..].iter_mut().zip(block) {
                    out.0[v] = *line;
                }
            });
        }
    }

    /// Scores of the keys from `first`.
    #[inline(always)]
    fn score<S: Simd>(&mut self, s: S, first: usize, count: usize) {
        let Room { query, scores, .. } = &mut *self.room;
        let words = query.len();
        let keys = &self.panel.packed.keys(self.panel.head / self.panel.problem.group)[first / R * words..];
        let groups = keys.chunks_exact(words).zip(scores.chunks_exact_mut(R));
        for (keys, out) in groups.take(count.div_ceil(R)) {
            let tile = A::multiply(s, keys, query, [[s.splat(0.0); V]; R]);
            for r in 0..R {
                out[r].store(s, tile[r]);
            }
        }
    }

    /// Minus infinity for keys that stand after a query.
    fn hide(&mut self, first: usize, count: usize) {
        let Problem { query, key_count, .. } = self.panel.problem;
        let seen = key_count - query.shape()[1] + self.panel.first;
        for (key, row) in (first..).zip(&mut self.room.scores[..count]) {
            for lane in 0..key.saturating_sub(seen).min(V * LANES) {
                *row.lane(lane) = f32::NEG_INFINITY;
            }
        }
    }

    /// Takes the scores' maximum; returns by how much older sums shrink, and shrinks the total.
    #[inline(always)]
    fn raise_max<S: Simd>(&mut self, s: S, count: usize) -> [S::F; V] {
        let old = self.max.load(s);
        let mut max = old;
        for row in &self.room.scores[..count] {
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
        self.total.store(s, total);
        decay
    }

    /// Adds the weighted values of the keys from `first`.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, s: S, first: usize, count: usize, decay: [S::F; V]) {
        let Panel { problem, packed, head, .. } = self.panel;
        let groups = packed.values(head / problem.group).chunks_exact(problem.key_count.div_ceil(A::STEP));
        let Room { scores, words, sums, .. } = &mut *self.room;
        let mut total = self.total.load(s);
        let powers = A::powers(s, &mut scores[..count], words, self.max.load(s), &mut total);
        self.total.store(s, total);
        let (first, count) = (first / A::STEP, powers.len());
        for (values, sums) in groups.zip(sums.chunks_exact_mut(R)) {
            let mut tile = [[s.splat(0.0); V]; R];
            for r in 0..R {
                let sum = sums[r].load(s);
                for v in 0..V {
                    tile[r][v] = s.mul(sum[v], decay[v]);
                }
            }
            let tile = A::multiply(s, &values[first..first + count], powers, tile);
            for r in 0..R {
                sums[r].store(s, tile[r]);
            }
        }
    }

    #[inline(always)]
    fn finish<S: Simd>(&mut self, s: S) {
        let Panel { problem, head, first, .. } = self.panel;
        let [_, queries, head_dim] = problem.query.shape();
        let total = self.total.load(s);
        for v in 0..V {
            let first = queries.min(first + v * LANES);
            let inverse = s.div(s.splat(1.0), total[v]);
            for element in (0..head_dim).step_by(LANES) {
                let count = LANES.min(head_dim - element);
                let mut block = [[0.0; LANES]; LANES];
                for (out, sums) in block.iter_mut().zip(&self.room.sums[element..element + count]) {
                    s.store(out, s.mul(s.load(&sums.0[v]), inverse));
                }
                Single::transpose(s, &mut block);
                for (lane, line) in block.iter().enumerate().take(queries - first) {
                    // SAFETY: a row belongs to one panel, and a panel to one task.
                    let out = unsafe { problem.out.row(head, first + lane) };
                    out[element..element + count].copy_from_slice(&line[..count]);
                }
            }
        }
    }
}
