//! Published ways to drop visual tokens, in place of the spatial stage.

mod clusters;
mod divprune;
mod dycoke;
mod evs;
mod fastvid;
mod holitom;
mod named;
mod vidcom2;
mod visionzip;

use std::collections::HashMap;

use burn::tensor::{DType, Tensor};
use longvu_core::ops;

pub use self::{
    divprune::DivPrune, dycoke::DyCoke, evs::Evs, fastvid::FastVid, holitom::HoliTom, vidcom2::VidCom2,
    visionzip::VisionZip,
};
use crate::{PrunedTokens, TokenChunk};

/// A chunk's tokens without its newlines, which are alike in every frame and would win or lose every ranking.
///
/// The newline of a row that keeps anything stays too, and counts: it says where the row's tokens lie. Of a room too small for
/// all of those, newlines have the part that they have of whole frames, and rows that keep most go first.
struct Visual {
    /// `[frames, per_frame, hidden_size]`, in f32.
    tokens: Tensor<3>,
    frames: usize,
    /// Visual tokens of a frame.
    per_frame: usize,
    /// The place of each of them among all tokens of a frame.
    places: Vec<usize>,
    /// Tokens of a row, its newline included.
    row_len: Option<usize>,
    /// Tokens that fit, and visual tokens of them.
    all_room: usize,
    room: usize,
}

impl Visual {
    fn new(chunk: &TokenChunk) -> Self {
        let [frames, count, hidden] = chunk.tokens.dims();
        let places = chunk.visual_places();
        let per_frame = places.len();
        let row_len = chunk.row_len.filter(|_| count > per_frame);
        let room = chunk.room - row_len.map_or(0, |len| chunk.room.div_ceil(len));
        let rows = rows(frames, count, &places);
        let tokens = chunk.tokens.clone().cast(DType::F32);
        let tokens = if row_len.is_some() {
            ops::select_rows(tokens.reshape([frames * count, hidden]), &rows).reshape([frames, per_frame, hidden])
        } else {
            tokens
        };
        Self { tokens, frames, per_frame, places, row_len, all_room: chunk.room, room }
    }

    fn count(&self) -> usize {
        self.frames * self.per_frame
    }

    /// How many visual tokens stay: a share of all, or as many as fit where there is none, and never more than fit.
    fn budget(&self, share: Option<f64>) -> usize {
        share.map_or(self.room, |share| (share * self.count() as f64) as usize).min(self.room).min(self.count())
    }

    /// Tokens of length 1.
    fn normalised(&self) -> Tensor<3> {
        normalised(self.tokens.clone())
    }

    /// All of them in a row: `[frames * per_frame, hidden_size]`.
    fn flat(&self) -> Tensor<2> {
        let hidden = self.tokens.dims()[2];
        self.tokens.clone().reshape([self.count(), hidden])
    }

    /// How many visual tokens each frame keeps where all keep the same share of theirs, rounded down, or, without a share,
    /// where those that fit are divided evenly.
    fn even_shares(&self, share: Option<f64>) -> Vec<usize> {
        let wanted = |share: f64| self.frames * (share * self.per_frame as f64) as usize;
        let total = share.map_or(self.room, wanted).min(self.room).min(self.count());
        evenly(total, self.frames)
    }

    /// Attention that visual tokens received, of all frames in a row, where it is known.
    fn attention(&self, chunk: &TokenChunk) -> Option<Vec<f64>> {
        let attention = chunk.attention.clone()?;
        let count = attention.dims()[1];
        let all = values(attention.cast(DType::F32));
        Some(rows(self.frames, count, &self.places).into_iter().map(|row| all[row]).collect())
    }

    /// What is kept of a chunk of which these visual tokens of each frame are, ascending.
    fn kept(&self, visual: Vec<Vec<usize>>) -> PrunedTokens {
        let mut kept: Vec<Vec<usize>> =
            visual.into_iter().map(|frame| frame.into_iter().map(|i| self.places[i]).collect()).collect();
        if let Some(len) = self.row_len {
            let fitting = self.all_room.saturating_sub(kept.iter().map(Vec::len).sum());
            for (frame, row) in fullest_rows(&kept, len, fitting) {
                kept[frame].push(row * len + len - 1);
            }
            kept.iter_mut().for_each(|frame| frame.sort_unstable());
        }
        PrunedTokens::new(kept)
    }

    /// The same of visual tokens counted through all frames.
    fn kept_of_all(&self, mut visual: Vec<usize>) -> PrunedTokens {
        visual.sort_unstable();
        let mut frames = vec![Vec::new(); self.frames];
        visual.into_iter().for_each(|i| frames[i / self.per_frame].push(i % self.per_frame));
        self.kept(frames)
    }

    /// The same, and tokens that others were merged into: for each group its tokens, counted likewise, and what stands in their
    /// places, `[tokens of the group, hidden_size]`.
    fn kept_and_merged(
        &self,
        chunk: &TokenChunk,
        mut kept: Vec<usize>,
        merged: Vec<(Vec<usize>, Tensor<2>)>,
    ) -> PrunedTokens {
        let [frames, count, hidden] = chunk.tokens.dims();
        let mut replaced: HashMap<usize, usize> = HashMap::new();
        for &i in merged.iter().flat_map(|(group, _)| group) {
            replaced.insert(i / self.per_frame * count + self.places[i % self.per_frame], replaced.len());
            kept.push(i);
        }
        let pruned = self.kept_of_all(kept);
        if replaced.is_empty() {
            return pruned;
        }
        let rows: Vec<usize> =
            pruned.kept.iter().enumerate().flat_map(|(f, kept)| kept.iter().map(move |&i| f * count + i)).collect();
        let own = ops::select_rows(chunk.tokens.clone().reshape([frames * count, hidden]), &rows).cast(DType::F32);
        let order: Vec<usize> =
            rows.iter().enumerate().map(|(j, row)| replaced.get(row).map_or(j, |at| rows.len() + at)).collect();
        let groups = merged.into_iter().map(|(_, tokens)| tokens);
        let merged = ops::select_rows(Tensor::cat(std::iter::once(own).chain(groups).collect(), 0), &order);
        pruned.with_merged(merged)
    }
}

/// Where the tokens at `places` of each frame are among those of all frames of `count` tokens.
fn rows(frames: usize, count: usize, places: &[usize]) -> Vec<usize> {
    (0..frames).flat_map(|frame| places.iter().map(move |place| frame * count + place)).collect()
}

/// `total` divided into whole numbers that differ by 1 at most.
fn evenly(total: usize, parts: usize) -> Vec<usize> {
    let up_to = |part: usize| (part as u128 * total as u128 / parts.max(1) as u128) as usize;
    (0..parts).map(|part| up_to(part + 1) - up_to(part)).collect()
}

/// Frame and number of `most` of the rows that keep anything, those that keep most, and of equal ones the earlier.
fn fullest_rows(kept: &[Vec<usize>], len: usize, most: usize) -> Vec<(usize, usize)> {
    let mut rows: Vec<(usize, (usize, usize))> = Vec::new();
    for (frame, places) in kept.iter().enumerate() {
        for row in places.chunk_by(|a, b| a / len == b / len) {
            rows.push((row.len(), (frame, row[0] / len)));
        }
    }
    rows.sort_by(|(many, a), (more, b)| more.cmp(many).then(a.cmp(b)));
    rows.truncate(most);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Takes what is more than `room` from the largest counts, of equal ones the last: what is earlier isn't worth less.
fn shrink(counts: &mut [usize], room: usize) {
    for _ in room..counts.iter().sum() {
        let Some(largest) = (0..counts.len()).max_by_key(|&i| counts[i]) else { break };
        counts[largest] -= 1;
    }
}

/// Positions of the `count` smallest values, the earlier of equal ones first; in no order.
pub(crate) fn smallest(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

/// Positions of the `count` largest values, the earlier of equal ones first.
fn largest(values: &[f64], count: usize) -> Vec<usize> {
    let negated: Vec<f64> = values.iter().map(|value| -value).collect();
    smallest(&negated, count)
}

/// Tokens divided by their lengths: `[…, tokens, channels]`.
fn normalised<const D: usize>(tokens: Tensor<D>) -> Tensor<D> {
    let norms = tokens.clone().powi_scalar(2).sum_dim(D - 1).sqrt().clamp_min(1e-12);
    tokens / norms
}

/// A tensor's values, in f64 to be added up and compared.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::{SpatialReduction, TokenPruner};

    fn pruners(fill: bool) -> Vec<(&'static str, Box<dyn TokenPruner>)> {
        let share = |share: f64| (!fill).then_some(share);
        vec![
            ("dycoke", Box::new(DyCoke::default().with_k(share(0.7)))),
            ("evs", Box::new(Evs::default().with_q(share(0.75)))),
            ("vidcom2", Box::new(VidCom2::default().with_r(share(0.25)))),
            ("divprune", Box::new(DivPrune::default().with_retained(share(0.098)))),
            ("fastvid", Box::new(FastVid::default().with_retained(share(0.5)).with_p(2))),
            ("visionzip", Box::new(VisionZip::default().with_retained(share(0.5)).with_contextual(0.4))),
            ("holitom", Box::new(HoliTom::default().with_retained(share(0.3)).with_tau(0.2))),
        ]
    }

    /// Frames of a grid of 3 x 2 tokens, each row with a newline.
    fn tokens(frames: usize, seed: u64) -> Tensor<3> {
        let value = |i: usize| match (i / 4) % 3 {
            2 => 1.0,
            _ => (((i as u64 + 1).wrapping_mul(seed | 1) >> 9) % 1000) as f32 / 500.0 - 1.0,
        };
        let values: Vec<f32> = (0..frames * 9 * 4).map(value).collect();
        Tensor::from_data(TensorData::new(values, [frames, 9, 4]), &Device::default())
    }

    fn attention(frames: usize, seed: u64) -> Tensor<2> {
        let value = |i: usize| ((i as u64 + 3).wrapping_mul(seed | 1) >> 7) % 100;
        let values: Vec<f32> = (0..frames * 9).map(|i| value(i) as f32).collect();
        Tensor::from_data(TensorData::new(values, [frames, 9]), &Device::default())
    }

    proptest! {
           #[test]
           fn the_room_is_kept_in_order_and_the_same_again(
               frames in 1usize..14, room in 0usize..130, fill in any::<bool>(), known in any::<bool>(), seed in any::<u64>()
           ) {
               for (name, pruner) in pruners(fill) {
                   let run = || {
                       let mut reduction = SpatialReduction::new(&*pruner, frames, room).unwrap().with_row_len(Some(3));
                       let chunk = reduction.chunk().min(frames);
                       let chunks = tokens(frames, seed).split(chunk, 0).into_iter().zip(attention(frames, seed).split(chunk, 0));
                       chunks.for_each(|(chunk, received)| {
    let received = (known || name == "visionzip").then_some(received);
    reduction.push_with(chunk, received).unwrap()});
                       reduction.finish().unwrap()
                   };
                   let (left, report) = run();
                   // Nothing is left to be cut from the end.
                   prop_assert!(report.tokens_similar_dropped <= room, "{}: {:?} of {}", name, report, room);
                   prop_assert_eq!(report.tokens_after, report.tokens_similar_dropped, "{}", name);
                   prop_assert_eq!(left.dims()[0], report.tokens_after, "{}", name);
                   prop_assert!(report.kept.iter().all(|kept| kept.is_sorted_by(|a, b| a < b)), "{}", name);
                   prop_assert_eq!(&report, &run().1, "{}", name);
                   // Whatever fits is used, where no share is asked for: but for a frame's newline, and what does not divide.
                   if fill && name != "dycoke" && room >= 9 * frames {
                       prop_assert_eq!(report.kept.iter().flatten().filter(|&&place| place % 3 != 2).count(), 6 * frames, "{}", name);
                   }
               }
           }
       }
}
