//! FastVID (arXiv 2503.11187): segments of like frames, of which some frames' density peaks take in the other tokens.

use burn::tensor::Tensor;
use longvu_core::ops;

use super::{
    Visual,
    clusters::{distances, means, mix, most_alike, peaks},
    evenly, largest, smallest, values,
};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// Dynamic segments (DySeg): with `s(t)` the cosine of the mean tokens of frames `t` and `t + 1`, a segment ends after `t` where
/// `s(t)` is among the `c - 1` lowest, of equal ones the earlier, or below `tau`. The paper takes the tower's pooled feature of a
/// frame where here is the mean of its tokens.
///
/// Of each frame's `n = floor(r N)` tokens, the `n - floor(d n)` that the tower attended to most stay as they are. The others'
/// share is that of the segment: its frames `e, e - p, e - 2p, …`, counted from its last frame `e`, are anchor frames, and each has
/// `floor(sum of floor(d n) / anchor frames)` anchors, its highest density peaks (DPC-kNN, `k = 4`) among tokens that are not kept
/// yet. In each anchor frame, every such token of the segment goes to the anchor of the highest cosine, and an anchor of `m` tokens
/// becomes `w anchor + (1 - w) (mean of them)` with `w = max(1 / (m + 1), beta)`.
///
/// Where the attention isn't known ([`TokenChunk::attention`]), all that stay are anchors, as with `d = 1`. Anchors for which an
/// anchor frame has no tokens left are divided among the segment's other frames. Where all tokens stay, none are merged.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FastVid {
    /// Share of tokens that stay, `r`, 0.1; `None` leaves as many as fit.
    pub retained: Option<f64>,
    /// Share of those that are density peaks, 0.4.
    pub d: f64,
    /// Segments that there are at least, `c`, 8.
    pub segments: usize,
    /// Cosine of adjacent frames below which a segment ends, 0.9.
    pub tau: f64,
    /// Distance between a segment's anchor frames, 4.
    pub p: usize,
    /// Least weight of an anchor among what it takes in, 0.6.
    pub beta: f64,
}

impl Default for FastVid {
    fn default() -> Self {
        Self { retained: Some(0.1), d: 0.4, segments: 8, tau: 0.9, p: 4, beta: 0.6 }
    }
}

impl FastVid {
    /// Sets [`retained`](Self::retained).
    #[must_use]
    pub fn with_retained(mut self, retained: impl Into<Option<f64>>) -> Self {
        self.retained = retained.into();
        self
    }

    /// Sets [`d`](Self::d).
    #[must_use]
    pub fn with_d(mut self, d: f64) -> Self {
        self.d = d;
        self
    }

    /// Sets [`segments`](Self::segments).
    #[must_use]
    pub fn with_segments(mut self, segments: usize) -> Self {
        self.segments = segments;
        self
    }

    /// Sets [`tau`](Self::tau).
    #[must_use]
    pub fn with_tau(mut self, tau: f64) -> Self {
        self.tau = tau;
        self
    }

    /// Sets [`p`](Self::p).
    #[must_use]
    pub fn with_p(mut self, p: usize) -> Self {
        self.p = p;
        self
    }

    /// Sets [`beta`](Self::beta).
    #[must_use]
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// The frames of each segment, by the cosines of adjacent frames.
    fn cut(&self, cosines: &[f64]) -> Vec<std::ops::Range<usize>> {
        let mut ends = smallest(cosines, self.segments.saturating_sub(1));
        ends.extend((0..cosines.len()).filter(|&t| cosines[t] < self.tau));
        ends.push(cosines.len());
        ends.sort_unstable();
        ends.dedup();
        let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
        starts.zip(&ends).map(|(start, end)| start..end + 1).collect()
    }

    /// How many anchors each frame of a segment has, which are `wanted` together; of each frame so many tokens are `left`.
    fn anchors(&self, wanted: usize, left: &[usize]) -> Vec<usize> {
        let (frames, p) = (left.len(), self.p.max(1));
        let (anchor, other): (Vec<usize>, Vec<usize>) = (0..frames).partition(|frame| (frames - 1 - frame) % p == 0);
        let shares = match self.retained {
            Some(_) => vec![wanted / anchor.len(); anchor.len()],
            None => evenly(wanted, anchor.len()),
        };
        let mut counts = vec![0; frames];
        let mut lacking = 0;
        for (&frame, share) in anchor.iter().zip(shares) {
            counts[frame] = share.min(left[frame]);
            lacking += share - counts[frame];
        }
        for (&frame, share) in other.iter().zip(evenly(lacking, other.len())) {
            counts[frame] = share.min(left[frame]);
        }
        counts
    }
}

/// Tokens whose mean distance makes a density.
const NEAREST: usize = 4;

impl TokenPruner for FastVid {
    fn chunk(&self) -> usize {
        usize::MAX
    }

    fn always(&self) -> bool {
        true
    }

    fn needs_attention(&self) -> bool {
        self.d < 1.0
    }

    fn prune(&self, chunk: &TokenChunk) -> Result<PrunedTokens, StageError> {
        let visual = Visual::new(chunk);
        let (frames, all) = (visual.frames, visual.per_frame);
        let shares = visual.even_shares(self.retained);
        if shares.iter().sum::<usize>() == visual.count() {
            return Ok(visual.kept_of_all((0..visual.count()).collect()));
        }
        let attention = visual.attention(chunk);
        let mut kept = Vec::new();
        let mut anchors = Vec::with_capacity(frames);
        let mut left: Vec<Vec<usize>> = Vec::with_capacity(frames);
        for (frame, &share) in shares.iter().enumerate() {
            let own = frame * all..(frame + 1) * all;
            let dense = attention.as_ref().map_or(share, |_| (self.d * share as f64) as usize);
            let salient = attention.as_ref().map(|attention| largest(&attention[own.clone()], share - dense));
            let salient = salient.unwrap_or_default();
            left.push(own.filter(|i| !salient.contains(&(i % all))).collect());
            kept.extend(salient.iter().map(|i| frame * all + i));
            anchors.push(dense);
        }
        let unit = visual.normalised();
        let mut merged = Vec::new();
        for segment in self.cut(&adjacent(&visual)) {
            let left = &left[segment.clone()];
            let counts = self.anchors(anchors[segment].iter().sum(), &left.iter().map(Vec::len).collect::<Vec<_>>());
            merged.extend(self.gather(&visual, &unit, left, &counts));
        }
        Ok(visual.kept_and_merged(chunk, kept, merged))
    }
}

impl FastVid {
    /// The anchors of a segment and what they become, frame by frame.
    fn gather(
        &self,
        visual: &Visual,
        unit: &Tensor<3>,
        left: &[Vec<usize>],
        counts: &[usize],
    ) -> Vec<(Vec<usize>, Tensor<2>)> {
        let tokens = visual.flat();
        let unit = unit.clone().reshape(tokens.dims());
        let all = left.concat();
        let rows = |of: &Tensor<2>, rows: &[usize]| ops::select_rows(of.clone(), rows);
        let (sources, directions) = (rows(&tokens, &all), rows(&unit, &all));
        let frames = left.iter().zip(counts).filter(|(_, count)| **count > 0);
        frames
            .map(|(own, &count)| {
                let scores = peaks(&distances(rows(&tokens, own)), own.len(), NEAREST);
                let anchors: Vec<usize> = largest(&scores, count).into_iter().map(|i| own[i]).collect();
                let cosine = directions.clone().matmul(rows(&unit, &anchors).transpose());
                let (mean, counts) = means(sources.clone(), &most_alike(&values(cosine), count), count);
                let weights = counts.into_iter().map(|count| (1.0 / (count + 1) as f64).max(self.beta)).collect();
                let own = rows(&tokens, &anchors);
                (anchors, mix(own, mean, weights))
            })
            .collect()
    }
}

/// Cosines of the mean tokens of each frame and the next.
fn adjacent(visual: &Visual) -> Vec<f64> {
    let pairs = visual.frames - 1;
    if pairs == 0 {
        return Vec::new();
    }
    let unit = super::normalised(visual.tokens.clone().mean_dim(1));
    let cosine: Tensor<3> = (unit.clone().narrow(0, 0, pairs) * unit.narrow(0, 1, pairs)).sum_dim(2);
    values(cosine)
}
