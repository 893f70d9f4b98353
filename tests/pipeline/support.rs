//! Golden models, and frames and features made up for them.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use longvu::{EncodedVideo, Frame, LongVu, LongVuBuilder, VisualKind};

/// The folder of the golden checkpoints.
pub fn checkpoints() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/checkpoint")
}

pub fn builder(kind: &str) -> LongVuBuilder {
    LongVu::builder(checkpoints().join(format!("longvu_{kind}")).to_str().unwrap())
}

pub fn model() -> LongVu {
    builder("qwen").load().unwrap()
}

/// Frames whose colours drift with time.
pub fn frames(count: usize, width: u32, height: u32) -> Vec<Frame> {
    let pixel = |t: usize, i: usize| ((i * (t / 3 + 1) * 7 + t * 31) % 251) as u8;
    (0..count)
        .map(|t| {
            let rgb = (0..(width * height * 3) as usize).map(|i| pixel(t, i)).collect();
            Frame::new(t, t as f64, width, height, rgb).unwrap()
        })
        .collect()
}

/// Features of both towers as if they had seen `count` square frames, no two alike.
pub fn features(model: &LongVu, count: usize) -> EncodedVideo {
    let tower = |seed: usize| {
        let value = |i: usize| ((i.wrapping_mul(2_654_435_761 + seed) >> 7) % 2000) as f32 / 1000.0 - 1.0;
        let values: Vec<f32> = (0..count * 576 * 32).map(value).collect();
        Tensor::<3>::from_data(TensorData::new(values, [count, 576, 32]), model.device())
    };
    model.encode_features(VisualKind::Video, tower(0), tower(9), (64, 64)).unwrap()
}

/// The bits of an encoded video's features.
pub fn bits(video: &EncodedVideo) -> Vec<u8> {
    video.features().into_data().as_bytes().to_vec()
}
