//! The temporal and the spatial stage over an hour of video, as a pipeline runs them.

use burn::tensor::{Device, Tensor, TensorData};
use longvu::{
    checkpoint::synthetic_values,
    compress::{
        self, Budget, FrameTokens, LaterStages, QueryStage, SpatialStage, TemporalReduction, TemporalStage, TopK, fuse,
    },
};

use crate::{Case, Work};

/// Made-up values from -1 to 1, filled by all threads.
pub fn values<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = synthetic_values(&format!("embed_tokens.{name}"), &shape);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// One hour at a frame a second; 48 of DINOv2-giant's 1536 channels, to fit in memory.
pub fn temporal(device: &Device) -> Case {
    let features = values("features", [3600, 576, 48], device);
    let bytes = features.shape().num_elements() * size_of::<f32>();
    Case::new(Work::Bytes(bytes), move || TemporalReduction::run(&TemporalStage::default(), features.clone()))
}

/// The 400 frames that the temporal stage leaves at most.
struct Frames(Tensor<3>);

impl FrameTokens for Frames {
    fn frames(&self) -> usize {
        self.0.dims()[0]
    }

    fn full_len(&self) -> usize {
        self.0.dims()[1]
    }

    fn full(&self, frames: Option<&[usize]>) -> compress::Result<Tensor<3>> {
        Ok(match frames {
            // The stage asks for neighbours.
            Some(at) if !at.is_empty() => self.0.clone().narrow(0, at[0], at.len()),
            _ => self.0.clone(),
        })
    }

    fn low(&self) -> compress::Result<Tensor<3>> {
        Ok(self.0.clone())
    }
}

/// The room is one token short of everything, so that the stage runs and keeps nearly all: as much copying as can be.
pub fn spatial(device: &Device) -> Case {
    let tokens = values("tokens", [400, 156, 3584], device);
    let text = values("text", [8, 3584], device);
    let bytes = tokens.shape().num_elements() * size_of::<f32>();
    let budget = Budget::new(400 * 156 - 1).with_inference_max_length(0).with_highres(false);
    let frames = Frames(tokens);
    let (top, spatial) = (TopK::default(), SpatialStage::default());
    // Looked at once, then read and written once.
    Case::new(Work::Bytes(3 * bytes), move || {
        let stages = LaterStages::new(&QueryStage, &top, &spatial);
        fuse(&frames, text.clone(), (0, 0), &budget, stages).map(|fused| fused.tokens)
    })
}
