//! Gradients of attention, from probabilities that are computed again.
//!
//! A task takes one key head of one sequence, and a panel of queries at a time: with scores S = scale · Q Kᵀ,
//! probabilities P, and the output's gradient G, it is dV += Pᵀ G, dP = G Vᵀ, dS = scale · P (dP - rowsum(P dP)),
//! dQ = dS K, dK += dSᵀ Q. Causal panels leave out the keys that none of their queries sees.

use crate::math;
use crate::product::{Matrix, Product, multiply_into};
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::threads::for_each_if;
use crate::{BatchShape, Heads, HeadsMut};
use gemm::Parallelism;

/// Queries of a panel: its scores and their gradients stay in the second cache.
const PANEL: usize = 64;

/// Gradients of [`attention_batch`](crate::attention_batch) from `grad_out`, that of its result: query, `grad_out` and
/// `grad_query` are `[batch, queries, heads, head_dim]`, key, value and their gradients
/// `[batch, keys, kv_heads, head_dim]`. Scores live in panels of 64 queries.
///
/// # Panics
/// If the lengths do not fit, there is no key, or a causal query would stand before the first key.
#[expect(clippy::too_many_arguments, reason = "three inputs, a gradient for each, and the result's")]
pub fn attention_backward_batch(
    shape: BatchShape,
    query: &[f32],
    key: &[f32],
    value: &[f32],
    grad_out: &[f32],
    grad_query: &mut [f32],
    grad_key: &mut [f32],
    grad_value: &mut [f32],
    scale: f32,
    causal: bool,
) {
    let grads = [grad_query, grad_key, grad_value];
    attention_backward_at(Level::best(), shape, [query, key, value, grad_out], grads, scale, causal);
}

pub(crate) fn attention_backward_at(
    level: Level,
    shape: BatchShape,
    [query, key, value, grad_out]: [&[f32]; 4],
    [grad_query, grad_key, grad_value]: [&mut [f32]; 3],
    scale: f32,
    causal: bool,
) {
    shape.check([query, grad_out, grad_query], [key, value, grad_key, grad_value], causal);
    if query.is_empty() {
        grad_key.fill(0.0);
        grad_value.fill(0.0);
        return;
    }
    let (query_len, key_len) = (shape.query_len(), shape.key_len());
    let (of_query, of_key) = (shape.of_query(), shape.of_key());
    let by_query = query.chunks(query_len).zip(grad_out.chunks(query_len)).zip(grad_query.chunks_mut(query_len));
    let by_key = key.chunks(key_len).zip(value.chunks(key_len));
    let by_key = by_key.zip(grad_key.chunks_mut(key_len).zip(grad_value.chunks_mut(key_len)));
    let sequence = |(((query, grad_out), grad_query), ((key, value), (grad_key, grad_value)))| Sequence {
        query: Heads::by_position(query, of_query),
        key: Heads::by_position(key, of_key),
        value: Heads::by_position(value, of_key),
        grad_out: Heads::by_position(grad_out, of_query),
        grad_query: HeadsMut::by_position(grad_query, of_query),
        grad_key: HeadsMut::by_position(grad_key, of_key),
        grad_value: HeadsMut::by_position(grad_value, of_key),
        scale,
        causal,
    };
    let sequences: Vec<Sequence<'_>> = by_query.zip(by_key).map(sequence).collect();
    for_each_if(shape.is_enough(), 0..shape.batch * shape.kv_heads, |task| {
        sequences[task / shape.kv_heads].solve(level, task % shape.kv_heads);
    });
}

/// One sequence.
struct Sequence<'a> {
    query: Heads<'a>,
    key: Heads<'a>,
    value: Heads<'a>,
    grad_out: Heads<'a>,
    grad_query: HeadsMut<'a>,
    grad_key: HeadsMut<'a>,
    grad_value: HeadsMut<'a>,
    scale: f32,
    causal: bool,
}

impl Sequence<'_> {
    /// The queries of one key head.
    fn solve(&self, level: Level, kv_head: usize) {
        let ([heads, queries, head_dim], [kv_heads, keys, _]) = (self.query.shape(), self.key.shape());
        let group = heads / kv_heads;
        let mut shared = Shared::new(self.key, self.value, kv_head);
        let mut panel = Panel::new(PANEL.min(queries), shared.stride, head_dim);
        for head in kv_head * group..(kv_head + 1) * group {
            for first in (0..queries).step_by(PANEL) {
                panel.load(self, head, first);
                panel.solve(level, self.scale, &mut shared);
                for (i, row) in panel.grad_query.chunks_exact(head_dim).enumerate() {
                    // SAFETY: a row belongs to one panel of one task.
                    unsafe { self.grad_query.row(head, first + i) }.copy_from_slice(row);
                }
            }
        }
        for position in 0..keys {
            let row = position * head_dim..(position + 1) * head_dim;
            // SAFETY: the rows of a key head belong to one task.
            let (key, value) =
                unsafe { (self.grad_key.row(kv_head, position), self.grad_value.row(kv_head, position)) };
            key.copy_from_slice(&shared.grad_key[row.clone()]);
            value.copy_from_slice(&shared.grad_value[row]);
        }
    }
}

/// What the queries of a key head share.
struct Shared {
    /// `[keys, head_dim]`.
    key: Vec<f32>,
    /// `[head_dim, stride]`, 0 beyond the last key; this way round products read them as they lie.
    key_columns: Vec<f32>,
    value_columns: Vec<f32>,
    /// `[keys, head_dim]`.
    grad_key: Vec<f32>,
    grad_value: Vec<f32>,
    /// At least the number of keys. An odd number of cache lines: columns of rows that are a power of two apart would
    /// fight for the same lines of the cache.
    stride: usize,
    head_dim: usize,
}

impl Shared {
    fn new(key: Heads<'_>, value: Heads<'_>, kv_head: usize) -> Self {
        let [_, keys, head_dim] = key.shape();
        let stride = (keys.div_ceil(LANES) | 1) * LANES;
        let rows: Vec<f32> = (0..keys).flat_map(|position| key.row(kv_head, position)).copied().collect();
        let columns = |x: Heads<'_>| {
            let mut columns = vec![0.0; head_dim * stride];
            for position in 0..keys {
                for (i, &x) in x.row(kv_head, position).iter().enumerate() {
                    columns[i * stride + position] = x;
                }
            }
            columns
        };
        let (key_columns, value_columns) = (columns(key), columns(value));
        let (grad_key, grad_value) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        Self { key: rows, key_columns, value_columns, grad_key, grad_value, stride, head_dim }
    }
}

/// Some queries of a head.
struct Panel {
    /// `[count, head_dim]`.
    query: Vec<f32>,
    grad_out: Vec<f32>,
    grad_query: Vec<f32>,
    /// `[count, stride]`: scores, then probabilities.
    scores: Vec<f32>,
    /// `[count, stride]`: gradients of the probabilities, then of the scores.
    grads: Vec<f32>,
    /// The keys that the first query sees, and by how many more each next one does.
    seen: (usize, usize),
}

impl Panel {
    fn new(count: usize, stride: usize, head_dim: usize) -> Self {
        let [query, grad_out] = [(); 2].map(|()| Vec::with_capacity(count * head_dim));
        let [scores, grads] = [(); 2].map(|()| vec![0.0; count * stride]);
        Self { query, grad_out, grad_query: vec![0.0; count * head_dim], scores, grads, seen: (0, 0) }
    }

    /// Takes the queries from `first`.
    fn load(&mut self, sequence: &Sequence<'_>, head: usize, first: usize) {
        let ([_, queries, _], [_, keys, _]) = (sequence.query.shape(), sequence.key.shape());
        let positions = first..queries.min(first + PANEL);
        for (out, rows) in [(&mut self.query, sequence.query), (&mut self.grad_out, sequence.grad_out)] {
            out.clear();
            positions.clone().for_each(|position| out.extend_from_slice(rows.row(head, position)));
        }
        self.grad_query.truncate(self.query.len());
        self.grad_query.resize(self.query.len(), 0.0);
        self.seen = if sequence.causal { (keys - queries + first + 1, 1) } else { (keys, 0) };
    }

    fn solve(&mut self, level: Level, scale: f32, shared: &mut Shared) {
        let Shared { key, key_columns, value_columns, grad_key, grad_value, stride, head_dim } = shared;
        let (stride, head_dim) = (*stride, *head_dim);
        let count = self.query.len() / head_dim;
        let end = self.seen.0 + (count - 1) * self.seen.1;
        // Whole vectors: products then need no copy of their operands.
        let columns = end.next_multiple_of(LANES);
        let [serial, sum] = [false, true].map(|add| Product { scale: 1.0, add, threads: Parallelism::None });
        let query = Matrix::new(&self.query, [count, head_dim], head_dim);
        let grad_out = Matrix::new(&self.grad_out, [count, head_dim], head_dim);
        let by_column = |columns_of| Matrix::new(columns_of, [head_dim, columns], stride);
        multiply_into(&mut self.scores, stride, query, by_column(key_columns), Product { scale, ..serial });
        multiply_into(&mut self.grads, stride, grad_out, by_column(value_columns), serial);
        let (scores, grads) = (&mut self.scores[..count * stride], &mut self.grads[..count * stride]);
        level.run(Scores { scores, grads, stride, columns, seen: self.seen, scale });
        let probabilities = Matrix::new(&self.scores, [count, end], stride);
        let grads = Matrix::new(&self.grads, [count, end], stride);
        let key = Matrix::new(key, [end, head_dim], head_dim);
        multiply_into(&mut self.grad_query, head_dim, grads, key, serial);
        multiply_into(grad_key, head_dim, grads.transposed(), query, sum);
        multiply_into(grad_value, head_dim, probabilities.transposed(), grad_out, sum);
    }
}

/// Turns scores into probabilities, and their gradients into those of the scores; both are 0 for keys out of sight.
struct Scores<'a> {
    scores: &'a mut [f32],
    grads: &'a mut [f32],
    stride: usize,
    columns: usize,
    seen: (usize, usize),
    scale: f32,
}

impl Kernel for Scores<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.scores.chunks_exact_mut(self.stride).zip(self.grads.chunks_exact_mut(self.stride));
        for (i, (scores, grads)) in rows.enumerate() {
            let seen = self.seen.0 + i * self.seen.1;
            scores[seen..self.columns].fill(f32::NEG_INFINITY);
            grads[seen..self.columns].fill(0.0);
            let (visible, hidden) = scores[..self.columns].split_at_mut(seen.next_multiple_of(LANES));
            hidden.fill(0.0);
            let (visible, _) = visible.as_chunks_mut::<LANES>();
            let (grads, _) = grads.as_chunks_mut::<LANES>();
            soften(s, visible, &mut grads[..visible.len()], self.scale);
        }
    }
}

/// One row of [`Scores`].
#[inline(always)]
fn soften<S: Simd>(s: S, scores: &mut [[f32; LANES]], grads: &mut [[f32; LANES]], scale: f32) {
    let mut max = s.splat(f32::NEG_INFINITY);
    for x in &*scores {
        max = s.max(s.load(x), max);
    }
    let max = s.splat(s.max_lane(max));
    let (mut total, mut dot) = (s.splat(0.0), s.splat(0.0));
    for (x, grad) in scores.iter_mut().zip(&*grads) {
        let power = math::exp(s, s.sub(s.load(x), max));
        total = s.add(total, power);
        dot = s.fma(power, s.load(grad), dot);
        s.store(x, power);
    }
    let inverse = 1.0 / s.sum(total);
    let (mean, inverse, scale) = (s.splat(s.sum(dot) * inverse), s.splat(inverse), s.splat(scale));
    for (x, grad) in scores.iter_mut().zip(grads) {
        let probability = s.mul(s.load(x), inverse);
        s.store(x, probability);
        let change = s.mul(s.mul(probability, scale), s.sub(s.load(grad), mean));
        s.store(grad, change);
    }
}
