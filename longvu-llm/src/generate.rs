//! Generation: from a prompt's embeddings to token ids, one at a time.

use std::{sync::Arc, time::Instant};

use burn::tensor::{DType, Tensor};
use longvu_core::{Step, Watch};
use serde::Serialize;

use crate::{Decoder, Error, GenerationConfig, KvCache, LogitsSampler, Result};

/// Prompt positions pushed through the decoder at once.
pub const PREFILL_CHUNK: usize = 1024;

/// Positions for an answer's tokens that are allocated at once: few answers come near to `max_new_tokens`.
const ANSWER_CHUNK: usize = 1024;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended its turn.
    Stop,
    /// `max_new_tokens` was reached.
    Length,
    /// One of the caller's stop strings came up.
    StopString,
}

/// An answer being generated: an iterator of token ids, the end-of-turn token not included.
pub struct Generation {
    decoder: Arc<Decoder>,
    cache: KvCache,
    sampler: LogitsSampler,
    config: GenerationConfig,
    eos_token_ids: Vec<u32>,
    watch: Watch,
    /// When the first token was asked for.
    answering: Option<Instant>,
    /// Positions that the cache was told to have room for.
    reserved: usize,
    /// Final-norm output of the last position, `[1, 1, hidden_size]`, while its logits are not yet used.
    last: Option<Tensor<3>>,
    generated: Vec<u32>,
    finished: Option<FinishReason>,
    failed: bool,
}

impl Generation {
    /// Pushes the prompt through `decoder`, continuing `cache`; only the last position will meet `lm_head`.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[positions, hidden_size]`, at least one position
    ///
    /// # Errors
    /// Settings out of range, no position at all, and [`Error::Cancelled`] when `watch` says to stop: after each layer of
    /// each [`PREFILL_CHUNK`], and later after each token.
    pub fn new(
        decoder: Arc<Decoder>,
        inputs_embeds: Tensor<2>,
        cache: Option<KvCache>,
        config: &GenerationConfig,
        watch: Watch,
    ) -> Result<Self> {
        config.validate()?;
        let positions = inputs_embeds.dims()[0];
        if positions == 0 {
            let (name, value, expected) = ("the prompt's length in tokens", "0".into(), "at least 1");
            return Err(Error::InvalidSetting { name, value, expected });
        }
        let answer = config.max_new_tokens.min(ANSWER_CHUNK);
        let mut cache = cache.unwrap_or_else(|| decoder.new_cache(positions + answer));
        let reserved = cache.len() + positions + answer;
        cache.reserve(reserved);
        let watched = watch.step(Step::Prompt, "", Some(positions as u64));
        let last = decoder.prefill_watched(inputs_embeds.unsqueeze(), &mut cache, PREFILL_CHUNK, &watched)?;
        let own = decoder.config().eos_token_id.as_ref().map_or(&[][..], |ids| ids.as_slice());
        Ok(Self {
            eos_token_ids: config.eos_token_ids.clone().unwrap_or_else(|| own.to_vec()),
            decoder,
            cache,
            sampler: LogitsSampler::new(config)?,
            config: config.clone(),
            watch,
            answering: None,
            reserved,
            last: Some(last),
            generated: Vec::new(),
            finished: None,
            failed: false,
        })
    }

    /// The ids so far.
    pub fn generated(&self) -> &[u32] {
        &self.generated
    }

    /// Why generation ended, once it has; `None` for one that failed.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finished
    }

    /// The cache, with the prompt and every generated position but the last.
    pub fn into_cache(self) -> KvCache {
        self.cache
    }

    /// Scores of the vocabulary for the next token: `vocab_size` numbers.
    pub fn next_logits(&mut self) -> Vec<f32> {
        let last = self.advance();
        self.last = Some(last.clone());
        self.decoder.logits(last).cast(DType::F32).into_data().iter::<f32>().collect()
    }

    /// The final-norm output to sample from: the prompt's at first, then that of the newest token.
    fn advance(&mut self) -> Tensor<3> {
        match (self.last.take(), self.generated.last()) {
            (Some(last), _) => last,
            (None, newest) => {
                let newest = newest.copied().unwrap_or_default();
                if self.cache.len() >= self.reserved {
                    let left = self.config.max_new_tokens.saturating_sub(self.generated.len());
                    self.reserved = self.cache.len() + left.clamp(1, ANSWER_CHUNK);
                    self.cache.reserve(self.reserved);
                }
                let embeds = self.decoder.embed(&[newest]).unsqueeze();
                self.decoder.forward(embeds, &mut self.cache)
            }
        }
    }

    fn step(&mut self) -> Result<Option<u32>> {
        if self.generated.len() >= self.config.max_new_tokens {
            self.finished = Some(FinishReason::Length);
            return Ok(None);
        }
        let start = *self.answering.get_or_insert_with(Instant::now);
        let logits = self.next_logits();
        let id = self.sampler.sample(&logits, &self.generated)?;
        self.last = None;
        if self.eos_token_ids.contains(&id) {
            self.finished = Some(FinishReason::Stop);
            return Ok(None);
        }
        self.generated.push(id);
        self.watch.step_since(start, Step::Answer, "", None).done(self.generated.len() as u64)?;
        Ok(Some(id))
    }
}

impl Iterator for Generation {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished.is_some() || self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}
