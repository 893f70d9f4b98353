//! What the three stages keep, of features that leave no doubt.

use anyhow::Result;
use longvu::{
    burn::tensor::{Tensor, TensorData},
    compress::{QueryStage, SpatialStage, TemporalReduction, TemporalStage, TopK, query_guided, spatial_reduction},
};

use super::{
    check::{Check, Kind, Size},
    place::{Place, values},
};

const fn decision(name: &'static str, run: fn(&Place, Size) -> Result<Vec<f32>>) -> Check {
    Check { name, kind: Kind::Decision, run, quantized: false }
}

/// The stages.
pub const CHECKS: &[Check] =
    &[decision("temporal_stage", temporal), decision("query_stage", query), decision("spatial_stage", spatial)];

fn positions(kept: impl IntoIterator<Item = usize>) -> Vec<f32> {
    kept.into_iter().map(|position| position as f32).collect()
}

/// `[frames, tokens, channels]` whose vectors are so much like that of the first frame at their place, and else like none.
fn features(place: &Place, [frames, tokens, channels]: [usize; 3], like: impl Fn(usize, usize) -> f32) -> Tensor<3> {
    let own = values(place.tensor("own", [frames, tokens, channels]));
    let mut mixed = own.clone();
    for (i, vector) in mixed.chunks_mut(channels).enumerate() {
        let like = like(i / tokens, i % tokens);
        if like > 0.0 {
            let first = &own[i % tokens * channels..][..channels];
            vector.iter_mut().zip(first).for_each(|(x, first)| *x = like * first + 0.2 * *x);
        }
    }
    let dtype = place.dtype.activations(&place.device).into();
    Tensor::from_data(TensorData::new(mixed, [frames, tokens, channels]).convert_dtype(dtype), (&place.device, dtype))
}

fn temporal(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [tokens, channels] = size.pick([12, 48], [576, 1536]);
    // Of each window one frame is like none, and stays; the others have a mean similarity of 0.9, and go.
    let features = features(place, [32, tokens, channels], |frame, _| if frame % 16 == 5 { 0.0 } else { 1.0 });
    let stage = TemporalStage::default().with_always(true).with_threshold(0.5);
    Ok(positions(TemporalReduction::run(&stage, features)?.selected))
}

fn query(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [frames, tokens, channels] = size.pick([12, 9, 48], [100, 64, 3584]);
    // Scores lie a hundredth of the best apart, and not in the order of frames.
    let features =
        features(place, [frames, tokens, channels], |frame, _| (1 + frame * 7 % frames) as f32 / frames as f32);
    let text = place.tensor("own", [1, tokens, channels]).reshape([tokens, channels]);
    let report = query_guided(&QueryStage, &TopK::default(), features, text, 2 * frames * tokens, 4 * tokens)?;
    Ok(positions(report.full))
}

fn spatial(place: &Place, size: Size) -> Result<Vec<f32>> {
    let [frames, tokens, channels] = size.pick([20, 9, 48], [64, 156, 3584]);
    let features = features(place, [frames, tokens, channels], |frame, token| f32::from((frame + token) % 3 == 0));
    let report = spatial_reduction(&SpatialStage::default(), features, frames * tokens * 3 / 4)?;
    let counted =
        report.kept.into_iter().enumerate().flat_map(|(frame, kept)| kept.into_iter().map(move |i| frame * tokens + i));
    Ok(positions(counted))
}
