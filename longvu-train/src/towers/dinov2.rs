//! Self-supervision for DINOv2: features of frames that look alike point the same way, those of others do not.
//!
//! The temporal stage compares frames by the cosine of their whole feature maps, so that this cosine is what is trained.
//! A group has three views of each of its scenes: a frame, another of the same scene a moment later, disturbed as a codec
//! would, and the frame with a piece of another scene pasted in. The first two match. The third matches none: a thing that
//! appears must show, however small it is. No labels are used.

use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{Device, Tensor};
use longvu_checkpoint::{TensorLookup, TensorSpec, build, config::Dinov2Config, declare};
use longvu_core::Dtype;
use longvu_vision::Dinov2;
use rand::RngExt;

use super::pictures::{Pictures, disturb};
use crate::{Loss, Objective, Parameters, Result, Workers, matching::pair_loss};

/// The cosine that separates what matches from what does not, midway between the published threshold of 0.83 and 0.5.
const MARGIN: f64 = 0.665;
/// How steeply the loss rises around it.
const SHARPNESS: f64 = 12.0;
/// Longest time between the two frames of a scene, in seconds.
const MOMENT: f64 = 2.0;

/// Training of the DINOv2 tower.
pub struct Dinov2Objective {
    name: String,
    config: Dinov2Config,
    pictures: Pictures,
    held_out: Pictures,
    group: usize,
    feature_side: usize,
}

impl Dinov2Objective {
    /// Training on pictures, validated on held-out ones, in groups of `group` scenes.
    pub(crate) fn new(
        name: String,
        config: Dinov2Config,
        feature_side: usize,
        [pictures, held_out]: [Pictures; 2],
        group: usize,
    ) -> Self {
        Self { name, config, pictures, held_out, group, feature_side }
    }

    /// Cosines of every view with every view, views of one kind together: `[3 * group, 3 * group]`.
    fn cosines(&self, tower: &Dinov2, source: &Pictures, index: u64, device: &Device) -> Result<Tensor<2>> {
        let views = self.views(source, index)?;
        let pixel_values = source.preprocessor.pixel_values(&views, device, Dtype::F32);
        let features = tower.features(pixel_values, self.feature_side);
        let [frames, tokens, channels] = features.dims();
        let rows = features.reshape([frames, tokens * channels]);
        let norm = (rows.clone().square().sum_dim(1) + 1e-12).sqrt();
        let rows = rows / norm;
        Ok(rows.clone().matmul(rows.transpose()))
    }

    /// Frames, then later frames, then frames with something pasted in.
    fn views(&self, source: &Pictures, index: u64) -> Result<Vec<Vec<u8>>> {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        let mut rngs = Vec::new();
        for sample in 0..self.group {
            let mut scene = source.scene(index, sample)?;
            let other = moment_later(&scene.script, scene.time, &mut scene.rng);
            first.push(source.picture(&scene.script, scene.time)?);
            let mut disturbed = source.picture(&scene.script, other)?;
            disturb(&mut disturbed, &mut scene.rng);
            later.push(disturbed);
            rngs.push(scene.rng);
        }
        let side = source.preprocessor.size();
        let pasted: Vec<Vec<u8>> = rngs
            .iter_mut()
            .enumerate()
            .map(|(i, rng)| paste(&first[i], &first[(i + 1) % self.group], side, rng))
            .collect();
        Ok([first, later, pasted].concat())
    }

    /// 1 where views match, -1 where they don't, 0 where it is not to count: `[3 * group, 3 * group]`.
    ///
    /// Non-matching pairs are many; they count so much less that both sides weigh the same, pasted views twice.
    fn signs(&self) -> Vec<f32> {
        let (group, views) = (self.group, 3 * self.group);
        let strangers = -1.0 / (views - 1).max(1) as f32;
        let sign = |(row, column): (usize, usize)| {
            let kinds = (row / group, column / group);
            match (row % group == column % group, kinds) {
                _ if row == column => 0.0,
                (true, (0, 1) | (1, 0)) => 1.0,
                (true, _) => -0.5,
                (false, _) => strangers,
            }
        };
        (0..views * views).map(|i| sign((i / views, i % views))).collect()
    }
}

impl Objective for Dinov2Objective {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        format!("{:?} {} {}", self.config, self.feature_side, self.pictures.describe())
    }

    fn specs(&self) -> Vec<TensorSpec> {
        declare(|weights| Dinov2::new(&self.config, weights))
    }

    fn loss(&self, parameters: Arc<TensorLookup>, index: u64) -> Result<Loss> {
        let tower = build(parameters, |weights| Dinov2::new(&self.config, weights))?;
        let device = tower.positions(1).device();
        let logits = (self.cosines(&tower, &self.pictures, index, &device)? - MARGIN) * SHARPNESS;
        Ok(Loss { sum: pair_loss(logits, &self.signs()), weight: self.group as f64 })
    }

    fn validate(&self, parameters: &Parameters, workers: &Workers) -> Result<BTreeMap<String, f64>> {
        let tower = build(parameters.constants().lookup(), |weights| Dinov2::new(&self.config, weights))?;
        let (group, views) = (self.group, 3 * self.group);
        let groups: Vec<u64> = (0..4).collect();
        let count = groups.len() as f64 * group as f64;
        let sums = workers.map(groups, |index| {
            let cosines = self.cosines(&tower, &self.held_out, index, parameters.device())?;
            let cosines: Vec<f32> = cosines.into_data().iter::<f32>().collect();
            let at = |row: usize, column: usize| f64::from(cosines[row * views + column]);
            let sum = |cosine: &dyn Fn(usize) -> f64| (0..group).map(cosine).sum::<f64>();
            Ok([sum(&|i| at(i, group + i)), sum(&|i| at(i, 2 * group + i)), sum(&|i| at(i, (i + 1) % group))])
        })?;
        let mean = |k: usize| sums.iter().map(|s| s[k]).sum::<f64>() / count;
        let named = [("same scene", mean(0)), ("something pasted in", mean(1)), ("another scene", mean(2))];
        Ok(named.into_iter().map(|(name, value)| (format!("cosine, {name}"), value)).collect())
    }
}

/// Another time in the scene that is on at `time`.
fn moment_later(script: &longvu_world::Script, time: f64, rng: &mut rand::rngs::StdRng) -> f64 {
    let times = script.scenes().iter().map(longvu_world::Scene::times).find(|times| times.contains(&time));
    let Some(times) = times else { return time };
    let (from, to) = (times.start.max(time - MOMENT), times.end.min(time + MOMENT));
    if to - from > 0.01 { rng.random_range(from..to - 0.005) } else { time }
}

/// `picture` with a square piece of `other`, between a seventh and two fifths of the side; `[side, side, 3]` bytes.
fn paste(picture: &[u8], other: &[u8], side: usize, rng: &mut rand::rngs::StdRng) -> Vec<u8> {
    let mut pasted = picture.to_vec();
    let mut piece = || {
        let size = rng.random_range(side / 7..=side * 2 / 5).max(1);
        let at = |rng: &mut rand::rngs::StdRng| rng.random_range(0..=side - size);
        (size, [at(rng), at(rng)], [at(rng), at(rng)])
    };
    // A piece that changes nothing to speak of would be no reason to look different.
    for _ in 0..8 {
        let (size, [from_x, from_y], [to_x, to_y]) = piece();
        let mut changed = 0u64;
        for row in 0..size {
            let from = ((from_y + row) * side + from_x) * 3..((from_y + row) * side + from_x + size) * 3;
            let to = ((to_y + row) * side + to_x) * 3;
            for (new, old) in other[from].iter().zip(&mut pasted[to..]) {
                changed += u64::from(new.abs_diff(*old));
                *old = *new;
            }
        }
        if changed > (size * size * 3 * 24) as u64 {
            break;
        }
    }
    pasted
}
