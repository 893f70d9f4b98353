use super::{assert_gradient, dot};
use crate::backward::attention::attention_backward_at;
use crate::backward::{attention_backward_batch, linear_backward};
use crate::simd::Level;
use crate::tests::{assert_close, assert_same_on_any_threads, noise, wide};
use crate::{BatchShape, Heads, HeadsMut, attention, attention_batch};
use proptest::prelude::*;
use std::time::{Duration, Instant};

struct Case {
    shape: BatchShape,
    causal: bool,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    grad: Vec<f32>,
}

impl Case {
    fn new(seed: u64, [batch, queries, keys, heads, kv_heads, head_dim]: [usize; 6], causal: bool) -> Self {
        let shape = BatchShape { batch, queries, keys, heads, kv_heads, head_dim };
        let (query_len, key_len) = (batch * queries * heads * head_dim, batch * keys * kv_heads * head_dim);
        Self {
            shape,
            causal,
            query: noise(seed, query_len, 2.0),
            key: noise(seed ^ 1, key_len, 2.0),
            value: noise(seed ^ 2, key_len, 1.0),
            grad: noise(seed ^ 3, query_len, 1.0),
        }
    }

    fn scale(&self) -> f32 {
        (self.shape.head_dim as f32).powf(-0.5)
    }

    fn forward(&self, query: &[f64], key: &[f64], value: &[f64]) -> Vec<f64> {
        let BatchShape { batch, queries, keys, heads, kv_heads, head_dim } = self.shape;
        let mut out = Vec::new();
        for (b, i, head) in (0..batch * queries * heads).map(|n| (n / heads / queries, n / heads % queries, n % heads))
        {
            let at = |j: usize| ((b * keys + j) * kv_heads + head / (heads / kv_heads)) * head_dim;
            let query = &query[((b * queries + i) * heads + head) * head_dim..][..head_dim];
            let seen = if self.causal { i + 1 + keys - queries } else { keys };
            let score = |j| query.iter().zip(&key[at(j)..]).map(|(q, k)| q * k).sum::<f64>() * f64::from(self.scale());
            let scores: Vec<f64> = (0..seen).map(score).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
            let weighted = |d| scores.iter().enumerate().map(|(j, s)| (s - max).exp() / total * value[at(j) + d]).sum();
            out.extend((0..head_dim).map(weighted).collect::<Vec<f64>>());
        }
        out
    }

    fn backward(&self, level: Level) -> [Vec<f32>; 3] {
        let mut grads = [&self.query, &self.key, &self.value].map(|x| vec![f32::NAN; x.len()]);
        let inputs = [&self.query[..], &self.key, &self.value, &self.grad];
        attention_backward_at(
            level,
            self.shape,
            inputs,
            grads.each_mut().map(|x| &mut x[..]),
            self.scale(),
            self.causal,
        );
        grads
    }

    fn check(&self) {
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|x| wide(x));
        for level in Level::all() {
            let [to_query, to_key, to_value] = self.backward(level);
            assert_gradient(&to_query, &self.query, 1e-5, |query| dot(&self.forward(query, &key, &value), &self.grad));
            assert_gradient(&to_key, &self.key, 1e-5, |key| dot(&self.forward(&query, key, &value), &self.grad));
            assert_gradient(&to_value, &self.value, 1e-5, |value| dot(&self.forward(&query, &key, value), &self.grad));
        }
    }

    fn run(&self) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.query.len()];
        attention_batch(self.shape, &self.query, &self.key, &self.value, &mut out, self.scale(), self.causal);
        out
    }
}

#[test]
fn panels_join_seamlessly() {
    for (queries, keys, causal) in [(64, 64, true), (65, 70, true), (70, 65, false), (130, 130, true)] {
        Case::new(5, [1, queries, keys, 2, 1, 8], causal).check();
    }
}

#[test]
fn keys_out_of_sight_count_for_nothing() {
    let mut case = Case::new(6, [1, 3, 40, 1, 1, 8], true);
    let expected = case.backward(Level::best());
    // The first of three queries sees the keys up to 37.
    case.value[38 * 8..].fill(f32::INFINITY);
    assert_eq!(case.backward(Level::best())[0][..8], expected[0][..8]);
}

#[test]
fn empty_batches_and_queries() {
    let case = Case::new(7, [0, 3, 4, 2, 1, 8], true);
    assert!(case.run().is_empty() && case.backward(Level::best()).iter().all(Vec::is_empty));
    let case = Case::new(7, [2, 0, 4, 2, 1, 8], true);
    let [to_query, to_key, to_value] = case.backward(Level::best());
    assert!(case.run().is_empty() && to_query.is_empty());
    assert!([to_key, to_value].concat().iter().all(|g| *g == 0.0));
}

#[test]
fn threads_change_nothing() {
    let case = Case::new(8, [3, 130, 150, 4, 2, 24], true);
    assert_same_on_any_threads(|| {
        let [mut query, mut key, mut value] = [&case.query, &case.key, &case.value].map(|x| vec![0.0; x.len()]);
        attention_backward_batch(
            case.shape,
            &case.query,
            &case.key,
            &case.value,
            &case.grad,
            &mut query,
            &mut key,
            &mut value,
            case.scale(),
            true,
        );
        [query, key, value, case.run()].concat()
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gradients_of_attention(
        seed: u64,
        batch in 1usize..4,
        kv_heads in 1usize..3,
        group in 1usize..4,
        queries in 1usize..8,
        more in 0usize..24,
        head_dim in 1usize..20,
        causal: bool,
    ) {
        Case::new(seed, [batch, queries, queries + more, kv_heads * group, kv_heads, head_dim], causal).check();
    }

    #[test]
    fn batches_equal_single_sequences(
        seed: u64,
        batch in 1usize..4,
        kv_heads in 1usize..3,
        group in 1usize..4,
        queries in 1usize..50,
        more in 0usize..70,
        head_dim in 1usize..40,
        causal: bool,
    ) {
        let case = Case::new(seed, [batch, queries, queries + more, kv_heads * group, kv_heads, head_dim], causal);
        let (of_query, of_key) = (case.shape.of_query(), case.shape.of_key());
        let [query, key, value] = [&case.query, &case.key, &case.value].map(|x| wide(x));
        let out = case.run();
        assert_close(&out, &case.forward(&query, &key, &value), 3e-6, 0.0);
        let lens = (case.shape.query_len(), case.shape.key_len());
        for b in 0..batch {
            let mut single = vec![0.0; lens.0];
            attention(
                Heads::by_position(&case.query[b * lens.0..][..lens.0], of_query),
                Heads::by_position(&case.key[b * lens.1..][..lens.1], of_key),
                Heads::by_position(&case.value[b * lens.1..][..lens.1], of_key),
                &mut HeadsMut::by_position(&mut single, of_query),
                case.scale(),
                causal,
            );
            prop_assert_eq!(&single, &out[b * lens.0..][..lens.0]);
        }
    }
}

/// The best of some runs on one thread.
fn time(mut work: impl FnMut() + Send) -> Duration {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut run = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    pool.install(|| (0..20).map(|_| run()).min().unwrap())
}

#[test]
#[ignore = "a measurement: cargo test -p longvu-kernels --release -- --ignored --nocapture one_thread"]
#[expect(clippy::print_stdout, reason = "a measurement is for reading")]
fn one_thread() {
    for [batch, positions] in [[8, 384], [64, 16], [16, 128], [4, 512]] {
        for causal in [true, false] {
            let case = Case::new(1, [batch, positions, positions, 4, 2, 32], causal);
            let pairs = if causal { positions * (positions + 1) / 2 } else { positions * positions };
            let product = 2e-9 * (batch * 4 * 32 * pairs) as f64;
            let backward = time(|| drop(case.backward(Level::best())));
            let forward = time(|| drop(case.run()));
            let rate = |products: f64, time: Duration| products * product / time.as_secs_f64();
            println!(
                "{batch} x {positions} causal {causal}: forward {forward:?}, {:.1} GFLOP/s; backward {backward:?}, {:.1} GFLOP/s",
                rate(2.0, forward),
                rate(5.0, backward),
            );
        }
    }
    let (rows, inputs, outputs) = (3072, 128, 384);
    let (x, weight) = (noise(1, rows * inputs, 1.0), noise(2, outputs * inputs, 1.0));
    let grad = noise(3, rows * outputs, 1.0);
    let mut grads = [x.len(), weight.len(), outputs].map(|len| vec![0.0; len]);
    let backward = time(|| {
        let [grad_x, grad_weight, grad_bias] = grads.each_mut().map(|grad| Some(&mut grad[..]));
        linear_backward(&weight, inputs, &x, &grad, grad_x, grad_weight, grad_bias);
    });
    let flops = 4e-9 * (rows * inputs * outputs) as f64;
    println!("linear {rows} x {inputs} -> {outputs}: {backward:?}, {:.1} GFLOP/s", flops / backward.as_secs_f64());
}
