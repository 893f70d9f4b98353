//! Visual tokens that leave a prompt inside the language model.

use std::{ops::Range, sync::Arc};

use burn::tensor::Tensor;
use longvu_core::Watch;
use serde::Serialize;

use crate::{
    Result,
    compress::FastV,
    llm::{Decoder, Generation, GenerationConfig, KvCache, PromptPruning},
};

/// What went on in the language model while it read a prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DecoderReport {
    /// The stage.
    pub stage: FastV,
    /// Visual tokens that the first layers saw.
    pub visual_tokens: usize,
    /// Visual tokens that the later layers saw.
    pub kept_tokens: usize,
    /// The places of those among the prompt's visual tokens, ascending.
    pub kept: Vec<usize>,
    /// Bytes of the keys and values of the prompt.
    pub cache_bytes: u64,
    /// What they would be if every layer held every position.
    pub whole_cache_bytes: u64,
}

/// [`FastV`] on the visual tokens of a prompt.
pub(crate) struct PrunedLayers {
    fastv: FastV,
    visual: Vec<Range<usize>>,
}

impl PrunedLayers {
    /// Of a prompt with visual tokens at these positions.
    pub fn new(fastv: FastV, visual: &[Range<usize>], positions: usize) -> Self {
        // The answer starts from the last position, whatever stands there.
        let last = positions.saturating_sub(1);
        let visual = visual.iter().map(|range| range.start.min(last)..range.end.min(last));
        Self { fastv, visual: visual.filter(|range| !range.is_empty()).collect() }
    }

    /// The first visual token's position.
    pub fn first(&self) -> usize {
        self.visual.first().map_or(usize::MAX, |range| range.start)
    }

    /// Pushes what the cache does not have of the prompt, which is no visual token.
    pub fn generate(
        &self,
        decoder: Arc<Decoder>,
        inputs_embeds: Tensor<2>,
        (cache, cached): (Option<KvCache>, usize),
        config: &GenerationConfig,
        watch: Watch,
    ) -> Result<Generation> {
        let visual: Vec<Range<usize>> =
            self.visual.iter().map(|range| range.start - cached..range.end - cached).collect();
        let count = visual.iter().map(Range::len).sum();
        let choose = |attention: &[f32]| self.fastv.kept(attention);
        let pruning =
            PromptPruning { layers: self.fastv.k, visual: &visual, keeps: self.fastv.keeps(count), choose: &choose };
        Ok(Generation::with_pruning(decoder, inputs_embeds, cache, config, watch, Some(&pruning))?)
    }

    /// What became of the prompt.
    pub fn report(&self, generation: &Generation) -> Option<DecoderReport> {
        let pruned = generation.pruned()?;
        let (cache_bytes, whole_cache_bytes) = generation.cache_bytes();
        Some(DecoderReport {
            stage: self.fastv,
            visual_tokens: pruned.visual,
            kept_tokens: pruned.kept.len(),
            kept: pruned.kept.clone(),
            cache_bytes,
            whole_cache_bytes,
        })
    }
}
