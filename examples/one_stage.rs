//! One compression stage alone, on made-up features: no model, no weights, no video.
//!
//! `cargo run --example one_stage`
#![allow(clippy::print_stdout)]

use longvu::{
    burn::tensor::{Device, Distribution, Tensor},
    compress::{SpatialStage, TemporalReduction, TemporalStage, spatial_reduction},
    default_device,
};

/// Three scenes of 12, 20 and 8 frames; a scene's frames are its picture and a little noise.
fn scenes(tokens: usize, channels: usize, device: &Device) -> Tensor<3> {
    let frames = [12, 20, 8].map(|count| {
        let picture = Tensor::<3>::random([1, tokens, channels], Distribution::Normal(0.0, 1.0), device);
        let noise = Tensor::random([count, tokens, channels], Distribution::Normal(0.0, 0.2), device);
        picture.repeat_dim(0, count) + noise
    });
    Tensor::cat(frames.to_vec(), 0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = default_device();

    let report = TemporalReduction::run(&TemporalStage::default(), scenes(576, 64, &device))?;
    println!("temporal: {} frames in, {} kept: {:?}", report.frames, report.selected.len(), report.selected);
    println!("  scores: {:.2?}", report.scores);

    let tokens = scenes(156, 64, &device);
    let report = spatial_reduction(&SpatialStage::default().with_threshold(0.8), tokens, 4000)?;
    let per_frame: Vec<usize> = report.kept.iter().map(Vec::len).collect();
    println!(
        "spatial: {} tokens in, {} left by similarity, {} in the end",
        report.tokens_before, report.tokens_similar_dropped, report.tokens_after
    );
    println!("  kept of each frame: {per_frame:?}");
    Ok(())
}
