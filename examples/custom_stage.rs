//! A temporal stage of one's own: frames picked evenly, whatever they show.
//!
//! `cargo run --example custom_stage -- MODEL VIDEO`
#![allow(clippy::print_stdout)]

use std::sync::Arc;

use longvu::{
    LongVu, Video,
    burn::tensor::Tensor,
    compress::{FrameSelector, StageError, WindowSelection},
};

/// Keeps every `step`-th frame of a window of 16.
struct EveryNth {
    step: usize,
}

impl FrameSelector for EveryNth {
    fn window(&self) -> usize {
        16
    }

    fn applies(&self, _frames: usize, _limit: usize) -> bool {
        true
    }

    fn select_window(&self, features: Tensor<3>) -> Result<WindowSelection, StageError> {
        let frames = features.dims()[0];
        Ok(WindowSelection::new(vec![0.0; frames], (0..frames).step_by(self.step).collect()))
    }

    fn max_frames(&self) -> usize {
        400
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, video] = args.as_slice() else { return Err("usage: custom_stage MODEL VIDEO".into()) };
    let video = Video::open(video)?;

    let published = LongVu::builder(model).load()?;
    let own = LongVu::builder(model).temporal_stage(Arc::new(EveryNth { step: 3 })).load()?;
    for (name, model) in [("published", published), ("every third frame", own)] {
        let encoded = model.encode(&video)?;
        let kept: Vec<usize> = encoded.frames().iter().map(|frame| frame.sample).collect();
        println!("{name}: {} of {} frames kept: {kept:?}", kept.len(), encoded.sampled_frames());
        println!("  {:?}", model.ask(&encoded, "What happens in this video?")?);
    }
    Ok(())
}
