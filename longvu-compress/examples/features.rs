//! Stages alone on the features of a file, which `longvu features` wrote: no model, and nothing but this crate,
//! burn and a reader of safetensors to build.
//!
//! `cargo run --example features -- CLIP.safetensors`
#![allow(clippy::print_stdout)]

use std::error::Error;

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_compress::{Evs, TemporalReduction, TemporalStage, spatial_reduction};
use safetensors::SafeTensors;

/// A tensor of the file, `[frames, cells, channels]` in float32.
fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Tensor<3>, Box<dyn Error>> {
    let found = file.tensor(name)?;
    let data = TensorData::from_bytes_vec(found.data().to_vec(), found.shape().to_vec(), DType::F32);
    Ok(Tensor::from_data(data, &Device::default()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(std::env::args().nth(1).ok_or("usage: features CLIP.safetensors")?)?;
    let file = SafeTensors::deserialize(&bytes)?;

    let temporal = TemporalReduction::run(&TemporalStage::default().with_threshold(0.83), tensor(&file, "dinov2")?)?;
    println!("{} of {} frames kept: {:?}", temporal.selected.len(), temporal.frames, temporal.selected);

    let spatial = spatial_reduction(&Evs::default().with_q(None), tensor(&file, "aggregated")?, 500)?;
    println!("{} of {} tokens kept", spatial.tokens_after, spatial.tokens_before);
    println!("of each frame: {:?}", spatial.kept.iter().map(Vec::len).collect::<Vec<_>>());
    Ok(())
}
