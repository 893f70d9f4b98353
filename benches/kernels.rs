//! The kernels at the sizes of the published models: DINOv2-giant, SigLIP-so400m and Qwen2-7B.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use half::{bf16, f16};
use longvu_kernels::*;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

/// Numbers from -1 to 1, of no pattern.
fn noise(len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    out.par_chunks_mut(1 << 16).enumerate().for_each(|(i, chunk)| {
        let mut state = i as u64 + 1;
        for x in chunk {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        }
    });
    out
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group
}

/// How fast all threads read memory: the sum of a gigabyte, each thread from end to end of its part.
fn bandwidth(c: &mut Criterion) {
    let data = vec![1u64; 1 << 27];
    let mut group = group(c, "bandwidth");
    let mut counts = vec![1, rayon::current_num_threads()];
    counts.dedup();
    for threads in counts {
        let part = data.len() / threads;
        group.throughput(Throughput::Bytes(8 * data.len() as u64));
        group.bench_function(format!("read 1 GiB, {threads} threads"), |b| {
            b.iter(|| -> u64 {
                data.par_chunks(part)
                    .map(|part| part.as_chunks::<32>().0.iter().fold([0u64; 32], add_block).iter().sum::<u64>())
                    .sum()
            });
        });
    }
    let mut x = noise(1 << 25);
    group.throughput(Throughput::Bytes(8 * x.len() as u64));
    group.bench_function("scale 128 MiB in place", |b| {
        b.iter(|| x.par_chunks_mut(1 << 15).for_each(|x| x.iter_mut().for_each(|x| *x *= 1.000_001)));
    });
    group.finish();
}

fn add_block(mut sums: [u64; 32], block: &[u64; 32]) -> [u64; 32] {
    sums.iter_mut().zip(block).for_each(|(sum, x)| *sum = sum.wrapping_add(*x));
    sums
}

fn activations(c: &mut Criterion) {
    let mut group = group(c, "activation");
    let siglip = noise(729 * 4304);
    let (mut out, bias) = (siglip.clone(), noise(4304));
    group.throughput(Throughput::Bytes(8 * siglip.len() as u64));
    group.bench_function("gelu_tanh in place [729, 4304]", |b| b.iter(|| gelu_tanh(&mut out, None)));
    group.bench_function("gelu_tanh into [729, 4304]", |b| b.iter(|| gelu_tanh_into(&siglip, Some(&bias), &mut out)));
    group.bench_function("gelu into [729, 4304]", |b| b.iter(|| gelu_into(&siglip, Some(&bias), &mut out)));
    group.bench_function("silu into [729, 4304]", |b| b.iter(|| silu_into(&siglip, None, &mut out)));
    let (fused, bias, mut out) = (noise(730 * 8192), noise(8192), vec![0.0; 730 * 4096]);
    group.throughput(Throughput::Bytes(12 * out.len() as u64));
    group.bench_function("swiglu [730, 2 * 4096]", |b| b.iter(|| swiglu(&fused, 4096, Some(&bias), &mut out)));
    let (gate, up, mut out) = (noise(1024 * 18944), noise(1024 * 18944), vec![0.0; 1024 * 18944]);
    group.throughput(Throughput::Bytes(12 * out.len() as u64));
    group.bench_function("silu_mul [1024, 18944]", |b| b.iter(|| silu_mul(&gate, &up, &mut out)));
    group.throughput(Throughput::Bytes(12 * 18944));
    group.bench_function("silu_mul [1, 18944]", |b| {
        b.iter(|| silu_mul(&gate[..18944], &up[..18944], &mut out[..18944]));
    });
    group.finish();
}

fn norms(c: &mut Criterion) {
    let mut group = group(c, "norm");
    for (rows, channels) in [(730, 1536), (729, 1152)] {
        let (x, weight, bias) = (noise(rows * channels), noise(channels), noise(channels));
        let (mut out, mut residual) = (x.clone(), x.clone());
        group.throughput(Throughput::Bytes(8 * x.len() as u64));
        group.bench_function(format!("layer_norm [{rows}, {channels}]"), |b| {
            b.iter(|| layer_norm(&x, &weight, Some(&bias), 1e-6, &mut out));
        });
        group.throughput(Throughput::Bytes(16 * x.len() as u64));
        group.bench_function(format!("add_layer_norm [{rows}, {channels}]"), |b| {
            b.iter(|| add_layer_norm(&mut residual, &x, Some(&bias), &weight, Some(&bias), 1e-6, &mut out));
        });
    }
    for rows in [1, 1024] {
        let (x, weight) = (noise(rows * 3584), noise(3584));
        let mut out = x.clone();
        group.throughput(Throughput::Bytes(8 * x.len() as u64));
        group.bench_function(format!("rms_norm [{rows}, 3584]"), |b| b.iter(|| rms_norm(&x, &weight, 1e-6, &mut out)));
    }
    group.finish();
}

fn rows(c: &mut Criterion) {
    let mut group = group(c, "rows");
    let mut x = noise(24 * 730 * 730);
    group.throughput(Throughput::Bytes(8 * x.len() as u64));
    group.bench_function("softmax [24 * 730, 730]", |b| b.iter(|| softmax(&mut x, 730)));
    let (mut x, cos, sin) = (noise(28 * 1024 * 128), noise(1024 * 64), noise(1024 * 64));
    group.throughput(Throughput::Bytes(8 * x.len() as u64));
    group.bench_function("rotary [1024, 28, 128]", |b| {
        b.iter(|| rotary(&mut x, 28, 128, RowOrder::PositionsFirst, &cos, &sin));
    });
    let (image, mut out) = (noise(3 * 378 * 378), vec![0.0; 729 * 588]);
    group.throughput(Throughput::Bytes(8 * out.len() as u64));
    group.bench_function("patchify [3, 378, 378]", |b| b.iter(|| patchify(&image, 3, 378, 378, 14, &mut out)));
    group.finish();
}

fn attentions(c: &mut Criterion) {
    let mut group = group(c, "attention");
    let cases = [
        (24, 24, 730, 730, 64, false),
        (16, 16, 729, 729, 72, false),
        (28, 28, 2048, 2048, 128, true),
        (28, 4, 1024, 1024, 128, true),
        (28, 4, 1, 1024, 128, true),
        (28, 4, 1, 8192, 128, true),
    ];
    for (heads, kv_heads, queries, keys, dim, causal) in cases {
        let (query, key, value) =
            (noise(heads * queries * dim), noise(kv_heads * keys * dim), noise(kv_heads * keys * dim));
        let mut out = vec![0.0; query.len()];
        let name = format!("{heads}/{kv_heads} x {queries} on {keys} x {dim}{}", if causal { " causal" } else { "" });
        if queries == 1 {
            group.throughput(Throughput::Bytes(8 * key.len() as u64));
        } else {
            let pairs = if causal { queries * (queries + 1) / 2 } else { queries * keys };
            group.throughput(Throughput::Elements((4 * heads * pairs * dim) as u64));
        }
        group.bench_function(name, |b| {
            b.iter(|| {
                attention(
                    Heads::by_position(&query, [heads, queries, dim]),
                    Heads::by_head(&key, [kv_heads, keys, dim]),
                    Heads::by_head(&value, [kv_heads, keys, dim]),
                    &mut HeadsMut::by_position(&mut out, [heads, queries, dim]),
                    (dim as f32).powf(-0.5),
                    causal,
                );
            });
        });
    }
    group.finish();
}

fn similarities(c: &mut Criterion) {
    let mut group = group(c, "similarity");
    for channels in [48, 1536] {
        let features = noise(16 * 576 * channels);
        let mut out = vec![0.0; 16 * 16];
        group.throughput(Throughput::Bytes(4 * features.len() as u64));
        group.bench_function(format!("gram [16, 576 * {channels}]"), |b| {
            b.iter(|| gram(black_box(&features), 576 * channels, &mut out));
        });
    }
    let tokens = noise(8 * 156 * 3584);
    let mut out = vec![0.0; 156 * 7];
    group.throughput(Throughput::Bytes(4 * tokens.len() as u64));
    group.bench_function("cosine_with_first [8, 156, 3584]", |b| {
        b.iter(|| cosine_with_first(black_box(&tokens), 8, 3584, 1e-8, &mut out));
    });
    group.finish();
}

const SHAPES: [(usize, usize); 4] = [(3584, 3584), (18944, 3584), (3584, 18944), (152_064, 3584)];

fn gemvs(c: &mut Criterion) {
    let mut group = group(c, "gemv");
    for (outputs, inputs) in SHAPES {
        let weights = noise(outputs * inputs);
        let half: Vec<f16> = weights.par_iter().map(|&x| f16::from_f32(x)).collect();
        let brain: Vec<bf16> = weights.par_iter().map(|&x| bf16::from_f32(x)).collect();
        for rows in [1, 4, 8] {
            if rows > 1 && outputs != 18944 {
                continue;
            }
            let (x, mut out) = (noise(rows * inputs), vec![0.0; rows * outputs]);
            let name = |kind: &str| format!("{kind} [{outputs}, {inputs}] x {rows}");
            group.throughput(Throughput::Bytes(4 * weights.len() as u64));
            group.bench_function(name("f32"), |b| b.iter(|| gemv_f32(&weights, inputs, &x, None, &mut out)));
            group.throughput(Throughput::Bytes(2 * weights.len() as u64));
            group.bench_function(name("f16"), |b| b.iter(|| gemv_f16(&half, inputs, &x, None, &mut out)));
            group.bench_function(name("bf16"), |b| b.iter(|| gemv_bf16(&brain, inputs, &x, None, &mut out)));
        }
    }
    group.finish();
}

fn quantised(c: &mut Criterion) {
    let mut group = group(c, "quant");
    for (outputs, inputs) in SHAPES {
        let weights = noise(outputs * inputs);
        for (bits, size) in
            [(QuantBits::Int8, 32), (QuantBits::Int8, 128), (QuantBits::Int4, 32), (QuantBits::Int4, 128)]
        {
            let format = QuantFormat { bits, group: size, affine: false, scales: ScaleType::F16 };
            let matrix = QuantMatrix::quantize(format, &weights, inputs);
            for rows in [1, 4, 8, 1024] {
                if rows > 1 && outputs != 18944 {
                    continue;
                }
                let (x, mut out) = (noise(rows * inputs), vec![0.0; rows * outputs]);
                if rows <= MAX_ROWS {
                    group.throughput(Throughput::Bytes(matrix.bytes() as u64));
                } else {
                    group.throughput(Throughput::Elements((2 * rows * outputs * inputs) as u64));
                }
                group.bench_function(format!("{bits:?}/{size} [{outputs}, {inputs}] x {rows}"), |b| {
                    b.iter(|| linear(WeightMatrix::Quant(&matrix), matrix.inputs(), black_box(&x), None, &mut out));
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, bandwidth, activations, norms, rows, attentions, similarities, gemvs, quantised);
criterion_main!(benches);
