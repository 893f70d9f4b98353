//! VidCom2 (arXiv 2505.14454): tokens that stand out from their frame and from the video, more of frames that stand out.

use burn::tensor::{Int, Tensor, TensorData};

use super::{Visual, normalised, shrink, smallest, values};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// Tokens are compared by the half of their channels that vary least over the video, normalised to length 1, with
/// `g(x, c) = sum over k = -3..1 of exp(-|x - c|^2 / (2 * 2^k))`. A token's score is `g` of the video's mean plus `g` of its frame's;
/// a frame's share is `p = softmax(-mean of the former / 0.01)`, and it keeps its
/// `clamp(round(N min(1, r (1 + p - mean p))), 1, N)` tokens of the least scores, of equal ones the earlier.
///
/// Where that is more than fits, the frames that keep most lose tokens until it does.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct VidCom2 {
    /// Share of tokens that stay, 0.25; `None` leaves as many as fit.
    pub r: Option<f64>,
}

impl Default for VidCom2 {
    fn default() -> Self {
        Self { r: Some(0.25) }
    }
}

impl VidCom2 {
    /// Sets [`r`](Self::r).
    #[must_use]
    pub fn with_r(mut self, r: impl Into<Option<f64>>) -> Self {
        self.r = r.into();
        self
    }
}

/// How sharply frames that stand out are preferred.
const TEMPERATURE: f64 = 0.01;

impl TokenPruner for VidCom2 {
    fn chunk(&self) -> usize {
        usize::MAX
    }

    fn always(&self) -> bool {
        true
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (frames, all) = (visual.frames, visual.per_frame);
        let unit = normalised(steady_channels(&visual));
        let of_frame = unit.clone().mean_dim(1);
        let of_video = of_frame.clone().mean_dim(0);
        let [video, frame] = [of_video, of_frame].map(|centre| {
            let squared: Tensor<3> = (unit.clone() - centre).powi_scalar(2).sum_dim(2);
            values(squared).into_iter().map(gaussians).collect::<Vec<f64>>()
        });
        let scores: Vec<f64> = video.iter().zip(&frame).map(|(video, frame)| video + frame).collect();
        let outstanding = video.chunks(all).map(|tokens| -tokens.iter().sum::<f64>() / all as f64).collect();
        let counts = counts(outstanding, self.r, all, visual.room);
        let kept = (0..frames).map(|frame| {
            let mut least = smallest(&scores[frame * all..][..all], counts[frame]);
            least.sort_unstable();
            least
        });
        Ok(visual.kept(kept.collect()))
    }
}

/// The half of the channels that vary least over all tokens, the earlier of equal ones: `[frames, tokens, channels / 2]`.
fn steady_channels(visual: &Visual) -> Tensor<3> {
    let [_, _, channels] = visual.tokens.dims();
    let all = visual.tokens.clone().reshape([visual.count(), channels]);
    let mean = all.clone().mean_dim(0);
    let variance: Tensor<2> = (all - mean).powi_scalar(2).mean_dim(0);
    let mut steady = smallest(&values(variance), (channels / 2).max(1));
    steady.sort_unstable();
    let indices: Vec<i64> = steady.into_iter().map(|channel| channel as i64).collect();
    let count = indices.len();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &visual.tokens.device());
    visual.tokens.clone().select(2, indices)
}

/// Likeness at five widths, of two tokens whose distance squared is given.
fn gaussians(squared: f64) -> f64 {
    (-3..=1).map(|k| (-squared / (2.0 * 2f64.powi(k))).exp()).sum()
}

/// How many tokens each frame keeps, no more than `room` together; where no share is asked for, exactly so many, if there are.
fn counts(outstanding: Vec<f64>, share: Option<f64>, all: usize, room: usize) -> Vec<usize> {
    let fill = share.is_none();
    let share = share.unwrap_or(room as f64 / (all * outstanding.len()).max(1) as f64);
    let most = outstanding.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = outstanding.iter().map(|score| ((score - most) / TEMPERATURE).exp()).collect();
    let (total, frames) = (weights.iter().sum::<f64>(), weights.len() as f64);
    let ideal: Vec<f64> =
        weights.iter().map(|weight| (share * (1.0 + weight / total - 1.0 / frames)).min(1.0) * all as f64).collect();
    let count = |ideal: &f64| (ideal.round_ties_even() as usize).clamp(1, all);
    let mut counts: Vec<usize> = ideal.iter().map(count).collect();
    for _ in counts.iter().sum::<usize>()..if fill { room } else { 0 } {
        // To the frame that is farthest from its share, the earlier of equal ones.
        let short = |&frame: &usize| ideal[frame] - counts[frame] as f64;
        let free = (0..counts.len()).rev().filter(|&frame| counts[frame] < all);
        let Some(next) = free.max_by(|a, b| short(a).total_cmp(&short(b))) else { break };
        counts[next] += 1;
    }
    shrink(&mut counts, room);
    counts
}
