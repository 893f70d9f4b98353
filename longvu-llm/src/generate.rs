//! Generation: from a prompt's embeddings to token ids, one at a time.

mod together;

use std::sync::Arc;

use burn::tensor::Tensor;
use longvu_core::{Step, Watch};
use serde::Serialize;
use web_time::Instant;

use crate::{Decoder, Error, GenerationConfig, KvCache, LogitsSampler, PromptPruning, PrunedPrompt, Result};

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

/// What is known of an answer's next token.
enum Ahead {
    /// Nothing: the newest token is still to be pushed.
    Nothing,
    /// The final-norm output of the last position, `[1, 1, hidden_size]`.
    Output(Box<Tensor<3>>),
    /// The token itself, which the device picked, and the output that it came of.
    Token(u32, Box<Tensor<3>>),
    /// Scores of the vocabulary, on the host.
    Logits(Vec<f32>),
}

impl Ahead {
    /// The scores, none unless they are known.
    fn logits(&self) -> &[f32] {
        match self {
            Self::Logits(logits) => logits,
            Self::Nothing | Self::Output(_) | Self::Token(..) => &[],
        }
    }

    /// Whether a token can be picked.
    fn is_enough(&self) -> bool {
        matches!(self, Self::Token(..) | Self::Logits(_))
    }
}

/// An answer being generated: an iterator of token ids, the end-of-turn token not included.
pub struct Generation {
    decoder: Arc<Decoder>,
    cache: KvCache,
    sampler: LogitsSampler,
    config: GenerationConfig,
    eos_token_ids: Vec<u32>,
    watch: Watch,
    pruned: Option<PrunedPrompt>,
    /// When the first token was asked for.
    answering: Option<Instant>,
    /// Positions that the cache was told to have room for.
    reserved: usize,
    ahead: Ahead,
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
        Self::with_pruning(decoder, inputs_embeds, cache, config, watch, None)
    }

    /// The same with a prompt whose visual tokens are pruned on the way, if `pruning` says so.
    ///
    /// # Errors
    /// As [`Generation::new`], and as [`Decoder::prefill_pruned`].
    pub fn with_pruning(
        decoder: Arc<Decoder>,
        inputs_embeds: Tensor<2>,
        cache: Option<KvCache>,
        config: &GenerationConfig,
        watch: Watch,
        pruning: Option<&PromptPruning<'_>>,
    ) -> Result<Self> {
        config.validate()?;
        let positions = inputs_embeds.dims()[0];
        if positions == 0 {
            let (name, value, expected) = ("the prompt's length in tokens", "0".into(), "at least 1");
            return Err(Error::InvalidSetting { name, value, expected });
        }
        let answer = config.max_new_tokens.min(ANSWER_CHUNK);
        // Layers that are to hold fewer positions allocate when these come.
        let capacity = if pruning.is_some() { 1 } else { positions + answer };
        let mut cache = cache.unwrap_or_else(|| decoder.new_cache(capacity));
        let reserved = cache.len() + positions + answer;
        cache.reserve(reserved);
        let watched = watch.step(Step::Prompt, "", Some(positions as u64));
        let (inputs_embeds, chunk) = (inputs_embeds.unsqueeze(), PREFILL_CHUNK);
        let (last, pruned) = match pruning {
            Some(pruning) => {
                let pruned = decoder.prefill_pruned(inputs_embeds, &mut cache, chunk, pruning, &watched, reserved)?;
                (pruned.0, Some(pruned.1))
            }
            None => (decoder.prefill_watched(inputs_embeds, &mut cache, chunk, &watched)?, None),
        };
        let own = decoder.config().eos_token_id.as_ref().map_or(&[][..], |ids| ids.as_slice());
        Ok(Self {
            eos_token_ids: config.eos_token_ids.clone().unwrap_or_else(|| own.to_vec()),
            decoder,
            cache,
            sampler: LogitsSampler::new(config)?,
            config: config.clone(),
            watch,
            pruned,
            answering: None,
            reserved,
            ahead: Ahead::Output(Box::new(last)),
            generated: Vec::new(),
            finished: None,
            failed: false,
        })
    }

    /// The decoder that it goes through.
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    /// The ids so far.
    pub fn generated(&self) -> &[u32] {
        &self.generated
    }

    /// Why generation ended, once it has; `None` for one that failed.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finished
    }

    /// What became of the prompt's visual tokens, where they were to be pruned.
    pub fn pruned(&self) -> Option<&PrunedPrompt> {
        self.pruned.as_ref()
    }

    /// Bytes of the keys and values held, and of those of every position in every layer.
    pub fn cache_bytes(&self) -> (u64, u64) {
        self.cache.bytes()
    }

    /// The cache, with the prompt and every generated position but the last.
    pub fn into_cache(self) -> KvCache {
        self.cache
    }

    /// Scores of the vocabulary for the next token: `vocab_size` numbers.
    pub fn next_logits(&mut self) -> Vec<f32> {
        self.look_ahead();
        if let Ahead::Token(_, output) = &self.ahead {
            let logits = self.decoder.logits(output.as_ref().clone()).into_data();
            self.ahead = Ahead::Logits(logits.iter::<f32>().collect());
        }
        self.ahead.logits().to_vec()
    }

    /// Brings about what the next token is picked by.
    fn look_ahead(&mut self) {
        if !self.ahead.is_enough() {
            Self::look_ahead_together(&mut [self]);
        }
    }

    /// Makes room in the cache for the newest token and those that are likely to follow it.
    fn reserve(&mut self) {
        if self.cache.len() >= self.reserved {
            let left = self.config.max_new_tokens.saturating_sub(self.generated.len());
            self.reserved = self.cache.len() + left.clamp(1, ANSWER_CHUNK);
            self.cache.reserve(self.reserved);
        }
    }

    /// Whether there is another token to be asked for.
    fn goes_on(&self) -> bool {
        self.finished.is_none() && !self.failed && self.generated.len() < self.config.max_new_tokens
    }

    fn step(&mut self) -> Result<Option<u32>> {
        if self.generated.len() >= self.config.max_new_tokens {
            self.finished = Some(FinishReason::Length);
            return Ok(None);
        }
        let start = *self.answering.get_or_insert_with(Instant::now);
        self.look_ahead();
        let id = match &self.ahead {
            Ahead::Token(id, _) => *id,
            other => self.sampler.sample(other.logits(), &self.generated)?,
        };
        if self.eos_token_ids.contains(&id) {
            self.finished = Some(FinishReason::Stop);
            return Ok(None);
        }
        self.ahead = Ahead::Nothing;
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
