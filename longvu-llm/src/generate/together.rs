//! Answers that are generated side by side: what each has to push goes through the decoder in one product.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use longvu_core::is_cpu;
use web_time::Instant;

use super::{Ahead, Generation};
use crate::{Decoder, logits::likeliest_on_device};

impl Generation {
    /// Does the work for the next token of several answers together: the weights are read once for up to
    /// [`Decoder::rows_at_once`] of them, where each alone would read them all.
    ///
    /// No token is chosen yet, and no watcher told: each answer's `next()` does that, which then has nothing left to compute.
    /// Those of one decoder go together, whatever their lengths, settings and prunings; those that have ended, or of whose
    /// next token enough is known, are left as they are. What an answer's tokens are does not change, on the CPU's kernels to
    /// the bit of every score; elsewhere as [`Decoder::forward_steps`] says.
    pub fn advance_together(generations: &mut [&mut Generation]) {
        let mut waiting: Vec<&mut Generation> = Vec::with_capacity(generations.len());
        waiting.extend(generations.iter_mut().map(|generation| &mut **generation));
        waiting.retain(|generation| generation.goes_on() && !generation.ahead.is_enough());
        let now = Instant::now();
        for generation in &mut waiting {
            generation.answering.get_or_insert(now);
        }
        while let Some(first) = waiting.first() {
            let decoder = Arc::clone(&first.decoder);
            let (mut alike, others) = waiting.into_iter().partition(|one| Arc::ptr_eq(&one.decoder, &decoder));
            waiting = others;
            Self::look_ahead_together(&mut alike);
        }
    }

    /// Brings generations of one decoder to the scores of their next tokens.
    pub(super) fn look_ahead_together(generations: &mut [&mut Generation]) {
        let Some(decoder) = generations.first().map(|first| Arc::clone(&first.decoder)) else { return };
        let most = decoder.rows_at_once();
        let mut to_push: Vec<&mut Generation> = Vec::with_capacity(generations.len());
        to_push.extend(generations.iter_mut().map(|one| &mut **one).filter(|one| matches!(one.ahead, Ahead::Nothing)));
        for group in to_push.chunks_mut(most) {
            push(&decoder, group);
        }
        for group in generations.chunks_mut(most) {
            score(&decoder, group);
        }
    }
}

/// Pushes the newest tokens.
fn push(decoder: &Decoder, generations: &mut [&mut Generation]) {
    let newest: Vec<u32> = generations.iter().map(|one| one.generated.last().copied().unwrap_or_default()).collect();
    let embeds = decoder.embed(&newest).unsqueeze();
    let mut caches = Vec::with_capacity(generations.len());
    for generation in &mut *generations {
        generation.reserve();
        caches.push(&mut generation.cache);
    }
    let outputs = decoder.push_steps(embeds, &mut caches);
    for (i, generation) in generations.iter_mut().enumerate() {
        generation.ahead = Ahead::Output(Box::new(outputs.clone().narrow(1, i, 1)));
    }
}

/// Scores the vocabulary for those whose output is known. Where all of them are to go on with the likeliest token, a device
/// with a memory of its own picks it, and what comes to the host are the tokens.
fn score(decoder: &Decoder, generations: &mut [&mut Generation]) {
    let greedy = generations.iter().all(|generation| generation.sampler.is_greedy());
    let (mut places, mut outputs) = (Vec::new(), Vec::new());
    for generation in generations {
        if let Ahead::Output(output) = &generation.ahead {
            outputs.push((**output).clone());
            places.push(&mut generation.ahead);
        }
    }
    if outputs.is_empty() {
        return;
    }
    let logits = decoder.logits(Tensor::cat(outputs.clone(), 1)).squeeze_dim::<2>(0).cast(DType::F32);
    if greedy
        && !is_cpu(&logits.device())
        && let Some(tokens) = likeliest_on_device(logits.clone())
    {
        for ((place, output), token) in places.into_iter().zip(outputs).zip(tokens) {
            *place = Ahead::Token(token, Box::new(output));
        }
        return;
    }
    let all: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let vocabulary = (all.len() / places.len()).max(1);
    for (place, logits) in places.into_iter().zip(all.chunks_exact(vocabulary)) {
        *place = Ahead::Logits(logits.to_vec());
    }
}
