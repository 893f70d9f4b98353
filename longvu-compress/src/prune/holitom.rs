//! HoliTom (arXiv 2505.21334), its part before the language model: windows of frames whose still places are one token.

use burn::tensor::Tensor;
use longvu_core::ops;

use super::{
    Visual,
    clusters::{distances, means, mix, most_alike, peaks},
    largest, shrink, values,
};
use crate::{PrunedTokens, StageError, TokenChunk, TokenPruner};

/// A place is still in a window of frames if the cosines of each frame's token there and the next one's are above `tau`. The video
/// is cut into windows of at most 1024 frames so that the sum of `still places * (frames - 1)`, the tokens that are saved, is the
/// highest, by dynamic programming; of equal cuts that with the shortest windows at the end.
///
/// A window's still places become one token each, the mean over its frames, in its first frame. Of `T` frames of `N` tokens, with
/// `S` saved and `r' = min(1, r / ((T N - S) / (T N)))`, the window then keeps `round(r' n)` of its `n` still places, and each of its
/// frames `ceil(r' n)` of its `n` other tokens:
///
/// - of still places the density peaks (DPC-kNN, `k` nearest), each of which becomes `beta` itself and `1 - beta` the mean of the
///   tokens that are nearest to it and do not stay, if there are any;
/// - of the others those that the tower attended to most, but for a share `d` of density peaks that likewise take in the rest.
///
/// Where the attention isn't known ([`TokenChunk::attention`]), all are density peaks, as with `d = 1`. Where that is more than
/// fits, the places and frames that keep most lose tokens until it does. Where all fit and no share is asked for, all stay.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct HoliTom {
    /// Share of tokens that stay, `r`, 0.1; `None` leaves as many as fit.
    pub retained: Option<f64>,
    /// Cosine above which a place is still from a frame to the next, 0.8.
    pub tau: f64,
    /// Share of density peaks among the tokens that stay of places that move, 0.
    pub d: f64,
    /// Tokens whose mean distance makes a density, 7, or as many as stay if those are fewer.
    pub k: usize,
    /// Weight of a density peak among what it takes in, 0.6.
    pub beta: f64,
}

impl Default for HoliTom {
    fn default() -> Self {
        Self { retained: Some(0.1), tau: 0.8, d: 0.0, k: 7, beta: 0.6 }
    }
}

impl HoliTom {
    /// Sets [`retained`](Self::retained).
    #[must_use]
    pub fn with_retained(mut self, retained: impl Into<Option<f64>>) -> Self {
        self.retained = retained.into();
        self
    }

    /// Sets [`tau`](Self::tau).
    #[must_use]
    pub fn with_tau(mut self, tau: f64) -> Self {
        self.tau = tau;
        self
    }

    /// Sets [`d`](Self::d).
    #[must_use]
    pub fn with_d(mut self, d: f64) -> Self {
        self.d = d;
        self
    }

    /// Sets [`k`](Self::k).
    #[must_use]
    pub fn with_k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Sets [`beta`](Self::beta).
    #[must_use]
    pub fn with_beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }
}

/// Most frames of a window.
const LONGEST: usize = 1024;

impl TokenPruner for HoliTom {
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
        let count = visual.count();
        if self.retained.is_none() && visual.room >= count {
            return Ok(visual.kept_of_all((0..count).collect()));
        }
        let still = still(&visual, self.tau);
        let (windows, saved) = windows(&still, visual.frames, visual.per_frame);
        let share = self.retained.unwrap_or(visual.room as f64 / count.max(1) as f64);
        let share = (share / ((count - saved) as f64 / count as f64)).min(1.0);
        let groups: Vec<Group> = windows.iter().flat_map(|window| Group::of(window, &visual)).collect();
        let mut counts: Vec<usize> = groups.iter().map(|group| group.count(share)).collect();
        shrink(&mut counts, visual.room);
        let attention = visual.attention(chunk);
        let (mut kept, mut merged) = (Vec::new(), Vec::new());
        for (group, count) in groups.into_iter().zip(counts) {
            let attention = attention.as_deref().filter(|_| group.frames == 1);
            let (salient, clusters) = self.reduce(&visual, &group, count, attention);
            kept.extend(salient);
            merged.extend(clusters);
        }
        Ok(visual.kept_and_merged(chunk, kept, merged))
    }
}

/// Frames that are reduced together.
struct Window {
    start: usize,
    frames: usize,
    /// Places that are still over all of them, ascending; none in a window of one frame.
    still: Vec<usize>,
}

/// Tokens of which a share stays: those of a window's still places, or the others of one frame.
struct Group {
    /// Visual tokens counted through all frames, those of the first frame where there are several.
    tokens: Vec<usize>,
    /// Frames whose mean they become.
    frames: usize,
}

impl Group {
    /// Those of a window.
    fn of(window: &Window, visual: &Visual) -> Vec<Self> {
        let all = visual.per_frame;
        let moving: Vec<usize> = (0..all).filter(|place| window.still.binary_search(place).is_err()).collect();
        let at = |frame: usize, places: &[usize]| places.iter().map(|place| frame * all + place).collect();
        let still = Self { tokens: at(window.start, &window.still), frames: window.frames };
        let frames = window.start..window.start + window.frames;
        std::iter::once(still)
            .filter(|still| still.frames > 1)
            .chain(frames.map(|frame| Self { tokens: at(frame, &moving), frames: 1 }))
            .collect()
    }

    fn count(&self, share: f64) -> usize {
        let wanted = share * self.tokens.len() as f64;
        if self.frames > 1 { wanted.round_ties_even() as usize } else { wanted.ceil() as usize }
    }

    /// What they are before any go: `[tokens, hidden_size]`.
    fn means(&self, visual: &Visual) -> Tensor<2> {
        let all = visual.flat();
        let frame = |frame: usize| {
            let rows: Vec<usize> = self.tokens.iter().map(|token| token + frame * visual.per_frame).collect();
            ops::select_rows(all.clone(), &rows)
        };
        (1..self.frames).fold(frame(0), |sum, next| sum + frame(next)) / self.frames as f64
    }
}

impl HoliTom {
    /// The tokens of a group that stay as they are, and those that others are merged into, `count` together.
    fn reduce(
        &self,
        visual: &Visual,
        group: &Group,
        count: usize,
        attention: Option<&[f64]>,
    ) -> (Vec<usize>, Option<(Vec<usize>, Tensor<2>)>) {
        let salient = attention.map_or_else(Vec::new, |attention| {
            let received: Vec<f64> = group.tokens.iter().map(|&token| attention[token]).collect();
            largest(&received, (count as f64 * (1.0 - self.d)).round_ties_even() as usize)
        });
        let clusters = count - salient.len();
        let kept: Vec<usize> = salient.iter().map(|&i| group.tokens[i]).collect();
        if clusters == 0 {
            return (kept, None);
        }
        let rest: Vec<usize> = (0..group.tokens.len()).filter(|i| !salient.contains(i)).collect();
        let tokens = ops::select_rows(group.means(visual), &rest);
        let (centres, merged) = self.cluster(tokens, clusters);
        (kept, Some((centres.into_iter().map(|i| group.tokens[rest[i]]).collect(), merged)))
    }

    /// `count` density peaks of the tokens, and what they become.
    fn cluster(&self, tokens: Tensor<2>, count: usize) -> (Vec<usize>, Tensor<2>) {
        let all = tokens.dims()[0];
        let distances = distances(tokens.clone());
        let mut centres = largest(&peaks(&distances, all, self.k.min(count)), count);
        centres.sort_unstable();
        let others: Vec<usize> = (0..all).filter(|i| centres.binary_search(i).is_err()).collect();
        let near = others.iter().flat_map(|&other| centres.iter().map(move |&centre| (other, centre)));
        let near: Vec<f64> = near.map(|(other, centre)| -distances[other * all + centre]).collect();
        let own = ops::select_rows(tokens.clone(), &centres);
        let (mean, members) = means(ops::select_rows(tokens, &others), &most_alike(&near, count), count);
        let weights = members.into_iter().map(|members| if members > 0 { self.beta } else { 1.0 }).collect();
        (centres, mix(own, mean, weights))
    }
}

/// Whether each place is still from each frame to the next, `(frames - 1) * per_frame` values.
fn still(visual: &Visual, tau: f64) -> Vec<bool> {
    let pairs = visual.frames - 1;
    if pairs == 0 {
        return Vec::new();
    }
    let unit = visual.normalised();
    let cosine: Tensor<3> = (unit.clone().narrow(0, 0, pairs) * unit.narrow(0, 1, pairs)).sum_dim(2);
    values(cosine).into_iter().map(|cosine| cosine > tau).collect()
}

/// The windows that save most, and how many tokens they save.
fn windows(still: &[bool], frames: usize, places: usize) -> (Vec<Window>, usize) {
    // For the frames before each one: what is saved of them at most, and where the last window starts.
    let mut best = vec![(0, 0)];
    for end in 0..frames {
        let mut most = (best[end].0, end);
        let mut all: Vec<usize> = (0..places).collect();
        for start in (end.saturating_sub(LONGEST - 1)..end).rev() {
            all.retain(|place| still[start * places + place]);
            if all.is_empty() {
                // Nor do longer windows save anything.
                break;
            }
            let saved = best[start].0 + all.len() * (end - start);
            if saved > most.0 {
                most = (saved, start);
            }
        }
        best.push(most);
    }
    let mut windows = Vec::new();
    let mut end = frames;
    while end > 0 {
        let start = best[end].1;
        let over = |place: &usize| (start..end - 1).all(|frame| still[frame * places + place]);
        let still = if end - start > 1 { (0..places).filter(over).collect() } else { Vec::new() };
        windows.push(Window { start, frames: end - start, still });
        end = start;
    }
    windows.reverse();
    (windows, best[frames].0)
}
