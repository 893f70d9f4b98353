//! The parts of a run that work on a frame or a window, at published sizes, on the CPU.
//!
//! `cargo bench -p longvu-benches --bench stages`
#![allow(missing_docs, clippy::expect_used)]

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use longvu::{
    checkpoint::config::{PreprocessorConfig, TowerFamily},
    compress::{FrameSelector, QueryStage, SpatialStage, TemporalStage, TokenChunk, TokenPruner, TopK, query_guided},
    default_device,
    ops::{Interpolation, resample_grid},
    vision::Preprocessor,
};

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn bytes(x: &Tensor<3>) -> Throughput {
    Throughput::Bytes((x.shape().num_elements() * size_of::<f32>()) as u64)
}

/// The compression stages: one window, one question, one chunk. Rates count what they look at.
fn stages(c: &mut Criterion) {
    let device = default_device();
    let mut group = c.benchmark_group("stage");

    let features = random([16, 576, 1536], &device);
    let temporal = TemporalStage::default();
    group.throughput(bytes(&features));
    group.bench_function("temporal/16x576x1536", |b| b.iter(|| temporal.select_window(black_box(features.clone()))));

    let (low, text) = (random([100, 72, 3584], &device), random([20, 3584], &device));
    group.throughput(bytes(&low));
    group.bench_function("query/100x72x3584", |b| {
        b.iter(|| query_guided(&QueryStage, &TopK::default(), black_box(low.clone()), text.clone(), 8100, 156))
    });

    let tokens = random([8, 156, 3584], &device);
    let spatial = SpatialStage::default();
    group.throughput(bytes(&tokens));
    group.bench_function("spatial/8x156x3584", |b| {
        b.iter(|| spatial.prune(black_box(&TokenChunk::new(tokens.clone(), usize::MAX))))
    });
    group.finish();
}

/// A 1080p frame to each tower's square.
fn preprocessing(c: &mut Criterion) {
    let rgb: Vec<u8> = (0..1920 * 1080 * 3).map(|i: usize| (i * 7 % 251) as u8).collect();
    let mut group = c.benchmark_group("preprocess/1920x1080");
    for (name, family, size) in [("siglip", TowerFamily::Siglip, 384), ("dinov2", TowerFamily::Dinov2, 378)] {
        let preprocessor = Preprocessor::new(PreprocessorConfig::published(family, size));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| preprocessor.resize(black_box(&rgb), 1920, 1080).expect("the buffer fits the size"));
        });
    }
    group.finish();
}

/// A tower's 27x27 patches to the 24x24 grid of its features.
fn resampling(c: &mut Criterion) {
    let device = default_device();
    let mut group = c.benchmark_group("resample/27x27-to-24x24");
    for channels in [1152, 1536] {
        let grid = random([1, 27 * 27, channels], &device);
        group.bench_function(BenchmarkId::from_parameter(channels), |b| {
            b.iter(|| resample_grid(black_box(grid.clone()), 27, 24, Interpolation::Bilinear, None));
        });
    }
    group.finish();
}

criterion_group!(benches, stages, preprocessing, resampling);
criterion_main!(benches);
