//! Picking the next token from the model's logits.

use std::cmp::Ordering;

use burn::tensor::{Int, Tensor};
use rand::{
    RngExt, SeedableRng,
    rngs::{StdRng, SysRng},
};

use crate::{Error, GenerationConfig, Result};

/// Picks tokens as Hugging Face's generation does: repetition penalty, temperature, top-k and
/// top-p in this order, then a draw; or after the penalty simply the likeliest token.
///
/// With a seed, the same logits give the same tokens on every run of the same build.
#[derive(Debug)]
pub struct LogitsSampler {
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f64>,
    repetition_penalty: f32,
    rng: StdRng,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    id: u32,
    /// Its probability up to a common factor; the likeliest token of all has 1.
    weight: f32,
}

impl Candidate {
    /// Likelier first, then lower id: a total order, so that ties are cut the same way each time.
    fn rank(&self, other: &Self) -> Ordering {
        other.weight.total_cmp(&self.weight).then(self.id.cmp(&other.id))
    }
}

impl LogitsSampler {
    /// A sampler with these settings, of which it takes temperature, top-k, top-p, repetition penalty and seed.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] as [`GenerationConfig::validate`], and [`Error::NoRandomness`] when there is sampling without a
    /// seed and the system gives none.
    pub fn new(config: &GenerationConfig) -> Result<Self> {
        config.validate()?;
        let rng = match config.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            // Greedy picking draws nothing.
            None if !config.do_sample() => StdRng::seed_from_u64(0),
            None => StdRng::try_from_rng(&mut SysRng).map_err(|error| Error::NoRandomness { source: error.into() })?,
        };
        Ok(Self {
            temperature: config.temperature.filter(|_| config.do_sample()),
            top_k: config.top_k.filter(|&k| k > 0),
            top_p: config.top_p.filter(|&p| p < 1.0).map(f64::from),
            repetition_penalty: config.repetition_penalty,
            rng,
        })
    }

    /// Whether it picks the token that the model finds likeliest, whatever was generated.
    pub(crate) fn is_greedy(&self) -> bool {
        self.temperature.is_none() && self.repetition_penalty == 1.0
    }

    /// Picks the next token from the logits of the whole vocabulary. `generated` are the answer's
    /// tokens so far, to which the repetition penalty applies; like in the published package, the
    /// prompt does not count. Of equally likely tokens greedy picking takes the lowest id.
    ///
    /// # Errors
    /// [`Error::EmptyLogits`] when there are none, [`Error::NonFiniteLogit`] when one is infinite or not a number.
    pub fn sample(&mut self, logits: &[f32], generated: &[u32]) -> Result<u32> {
        check(logits)?;
        let mut scores = logits.to_vec();
        penalise(&mut scores, generated, self.repetition_penalty);
        match self.temperature {
            Some(temperature) => {
                let candidates = self.candidates(&scores, temperature);
                Ok(self.draw(&candidates))
            }
            None => Ok(likeliest(&scores)),
        }
    }

    /// The tokens left by top-k and top-p.
    fn candidates(&self, scores: &[f32], temperature: f32) -> Vec<Candidate> {
        let highest = scores.iter().copied().fold(f32::MIN, f32::max);
        let lowest_kept = self.top_k.and_then(|k| kth_highest(scores, k)).unwrap_or(f32::MIN);
        let candidates: Vec<Candidate> = (0..)
            .zip(scores)
            .filter(|&(_, &score)| score >= lowest_kept)
            .map(|(id, &score)| Candidate { id, weight: ((score - highest) / temperature).exp() })
            .collect();
        match self.top_p {
            Some(p) => nucleus(candidates, p),
            None => candidates,
        }
    }

    /// Draws a candidate in proportion to its weight.
    fn draw(&mut self, candidates: &[Candidate]) -> u32 {
        let mut left = self.rng.random::<f64>() * total_weight(candidates);
        let mut drawn = 0;
        for candidate in candidates.iter().filter(|candidate| candidate.weight > 0.0) {
            // Should rounding leave something at the end, the last candidate is the one drawn.
            drawn = candidate.id;
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                break;
            }
        }
        drawn
    }
}

fn check(logits: &[f32]) -> Result<()> {
    if logits.is_empty() {
        return Err(Error::EmptyLogits);
    }
    match logits.iter().position(|logit| !logit.is_finite()) {
        Some(index) => Err(Error::NonFiniteLogit { index, value: logits[index] }),
        None => Ok(()),
    }
}

/// Lowers the score of each token already in the answer, once however often it is there.
fn penalise(scores: &mut [f32], generated: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut ids = generated.to_vec();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            let penalised = if *score < 0.0 { *score * penalty } else { *score / penalty };
            *score = penalised.clamp(f32::MIN, f32::MAX);
        }
    }
}

/// The lowest index of the highest score.
fn likeliest(scores: &[f32]) -> u32 {
    let mut best = (0, f32::MIN);
    for (id, &score) in (0..).zip(scores) {
        if score > best.1 {
            best = (id, score);
        }
    }
    best.0
}

/// The lowest index of the highest score of each row, found on the scores' device, from where nothing else is brought;
/// `None` where a score is infinite or not a number.
///
/// # Shapes
/// - `scores`: `[rows, vocab_size]`
pub(crate) fn likeliest_on_device(scores: Tensor<2>) -> Option<Vec<u32>> {
    let [rows, vocabulary] = scores.dims();
    let finite = scores.clone().is_finite().int().min_dim(1);
    let highest = scores.clone().max_dim(1);
    let ids = Tensor::<1, Int>::arange(0..vocabulary as i64, &scores.device()).unsqueeze::<2>();
    let ids = ids.expand([rows, vocabulary]).mask_fill(scores.lower(highest), vocabulary as i64);
    let told = Tensor::cat(vec![ids.min_dim(1), finite], 1).into_data();
    let told: Vec<i64> = told.iter::<i64>().collect();
    told.chunks_exact(2).map(|row| if row[1] == 1 { u32::try_from(row[0]).ok() } else { None }).collect()
}

/// The `k`-th highest score, or `None` when there are no more than `k`.
fn kth_highest(scores: &[f32], k: usize) -> Option<f32> {
    if k >= scores.len() {
        return None;
    }
    let mut scores = scores.to_vec();
    let (_, kth, _) = scores.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    Some(*kth)
}

/// The smallest set of likeliest candidates that holds the share `p` of all weight, in no particular order.
///
/// Instead of sorting a whole vocabulary, it halves the part in which the set must end, so the
/// work is in proportion to the number of candidates.
fn nucleus(mut candidates: Vec<Candidate>, p: f64) -> Vec<Candidate> {
    let total = total_weight(&candidates);
    // All candidates below this weight together have less than the share left over, so the set
    // ends before them. This leaves out most of a vocabulary.
    let least = ((1.0 - p) * total / candidates.len() as f64) as f32;
    candidates.retain(|candidate| candidate.weight >= least);
    let mut missing = p * total;
    let (mut start, mut end) = (0, candidates.len());
    while end - start > 1 {
        let part = &mut candidates[start..end];
        let half = part.len() / 2;
        part.select_nth_unstable_by(half, Candidate::rank);
        let upper = total_weight(&part[..half]);
        if upper >= missing {
            end = start + half;
        } else {
            missing -= upper;
            start += half;
        }
    }
    candidates.truncate(end);
    candidates
}

fn total_weight(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|candidate| f64::from(candidate.weight)).sum()
}

#[cfg(test)]
#[path = "logits_tests.rs"]
mod tests;
