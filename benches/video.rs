//! A 1080p video to frames for both towers: 20 seconds of `testsrc2`, made by the `ffmpeg` program.
//!
//! `cargo bench -p longvu-benches --bench video`
#![allow(missing_docs, clippy::expect_used)]

use std::{hint::black_box, path::Path, process::Command};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use longvu::{
    checkpoint::config::{PreprocessorConfig, TowerFamily},
    video::{DecodedFrame, Decoding, Sampling, Video, VideoOptions},
    vision::Preprocessor,
};

fn make_clip(path: &Path) {
    let source =
        "-nostdin -y -v error -f lavfi -i testsrc2=s=1920x1080:r=25:d=20 -c:v libx264 -preset ultrafast -crf 35";
    let status = Command::new("ffmpeg").args(source.split(' ')).arg(path).status();
    assert!(status.expect("the `ffmpeg` program").success(), "ffmpeg failed");
}

fn frames(path: &Path, fps: f64, decoding: Decoding) -> impl Iterator<Item = DecodedFrame> {
    let options = VideoOptions::default().with_sampling(Sampling::Fps(fps)).with_decoding(decoding);
    let frames = Video::open_with(path, options).and_then(|video| video.frames()).expect("a video");
    frames.map(|frame| frame.expect("a frame"))
}

fn decoding(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("clip.mp4");
    make_clip(&path);
    let mut group = c.benchmark_group("video/1920x1080-20s");
    group.sample_size(10);
    for (name, fps, decoding) in [
        ("full/1fps", 1.0, Decoding::Full),
        ("sparse/1fps", 1.0, Decoding::Sparse),
        ("sparse/0.1fps", 0.1, Decoding::Sparse),
    ] {
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| frames(&path, fps, decoding).map(|frame| black_box(frame).index).sum::<usize>());
        });
    }
    let towers = [(TowerFamily::Siglip, 384), (TowerFamily::Dinov2, 378)]
        .map(|(family, size)| Preprocessor::new(PreprocessorConfig::published(family, size)));
    group.bench_function("decode-and-resize/1fps", |b| {
        b.iter(|| {
            for frame in frames(&path, 1.0, Decoding::Sparse) {
                for tower in &towers {
                    black_box(tower.resize(&frame.rgb, frame.width, frame.height).expect("a whole frame"));
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
