//! The Qwen2 and Llama decoder: one implementation, with or without biases.
//!
//! Field names follow the state dict; `docs` of shapes use `positions` for the length of what is pushed at once.

use std::{convert::Infallible, ops::Range};

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData},
};
use longvu_checkpoint::{
    Weights,
    config::{DecoderConfig, LanguageModel},
    nn::{Embedding, Linear, RmsNorm},
};
use longvu_core::{Cancelled, WatchedStep, is_cpu, ops};

use crate::{
    Error, KvCache, Result, RotaryEmbedding,
    decoder_layer::{Context, DecoderLayer},
};

/// Rows that go through the CPU's products at once, of weights in floating point: what its kernels take at most.
const ROWS_ON_CPU: usize = 8;

/// The same of quantised weights, whose products are bound by instructions, and take as long for five rows as for eight.
const QUANTIZED_ROWS_ON_CPU: usize = 4;

/// A causal language model.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: RmsNorm,
    /// Absent when it shares the embedding's weight.
    lm_head: Option<Linear>,
    #[module(skip)]
    pub(crate) rotary: RotaryEmbedding,
    #[module(skip)]
    config: DecoderConfig,
}

impl Decoder {
    /// Takes a decoder of the sizes in `config` from the root of a checkpoint.
    pub fn new(config: &DecoderConfig, family: LanguageModel, weights: &Weights) -> Self {
        let model = weights.at("model");
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let head = weights.at("lm_head");
        if config.tie_word_embeddings {
            head.tolerated("weight", &[vocab, hidden]);
        }
        let layers = model.at("layers");
        Self {
            embed_tokens: Embedding::new(&model.at("embed_tokens"), vocab, hidden),
            layers: (0..config.num_hidden_layers).map(|i| DecoderLayer::new(config, family, &layers.at(i))).collect(),
            norm: RmsNorm::new(&model.at("norm"), hidden, config.rms_norm_eps),
            lm_head: (!config.tie_word_embeddings).then(|| Linear::new(&head, hidden, vocab, false)),
            rotary: RotaryEmbedding::new(config),
            config: config.clone(),
        }
    }

    /// The sizes.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device that the weights live on.
    pub fn device(&self) -> burn::tensor::Device {
        self.embed_tokens.weight.val().device()
    }

    /// An empty cache with room for `capacity` positions.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        let weight = self.norm.weight.val();
        KvCache::new(&self.config, capacity, &weight.device(), weight.dtype())
    }

    /// Embeddings of token ids: `[tokens, hidden_size]`, in the dtype of activations.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let count = ids.len();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [count]), &self.device());
        self.embed_tokens.forward(ids).cast(self.norm.weight.val().dtype())
    }

    /// Pushes positions through the model and its cache; returns the final-norm output.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, positions, hidden_size]`
    /// - output: `[1, positions, hidden_size]`
    pub fn forward(&self, inputs_embeds: Tensor<3>, cache: &mut KvCache) -> Tensor<3> {
        match self.push(inputs_embeds, cache, &mut |_| Ok::<(), Infallible>(())) {
            Ok(hidden_states) => self.norm.forward(hidden_states),
            Err(never) => match never {},
        }
    }

    /// Pushes one position of each of several sequences, which have a cache each, through the model, whose weights are read
    /// once for up to [`Decoder::rows_at_once`] of them; returns the final-norm outputs.
    ///
    /// On the CPU's kernels a sequence gets what [`Decoder::forward`] gives it alone, to the bit. Elsewhere products of
    /// several rows may be rounded otherwise than those of one.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, sequences, hidden_size]`
    /// - output: `[1, sequences, hidden_size]`
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] where there are more or fewer caches than sequences, or none.
    pub fn forward_steps(&self, inputs_embeds: Tensor<3>, caches: &mut [&mut KvCache]) -> Result<Tensor<3>> {
        let [_, sequences, _] = inputs_embeds.dims();
        if sequences != caches.len() || caches.is_empty() {
            let value = format!("{} for {sequences} sequences", caches.len());
            return Err(Error::InvalidSetting {
                name: "caches",
                value,
                expected: "one for each of 1 or more sequences",
            });
        }
        Ok(self.push_steps(inputs_embeds, caches))
    }

    /// [`Decoder::forward_steps`] where there is a cache for each sequence.
    pub(crate) fn push_steps(&self, inputs_embeds: Tensor<3>, caches: &mut [&mut KvCache]) -> Tensor<3> {
        let positions: Vec<usize> = caches.iter().map(|cache| cache.len()).collect();
        let context = Context::Steps(caches.iter_mut().map(|cache| (&mut **cache, 0)).collect());
        let hidden_states = self.run_layers(inputs_embeds, positions, context, &mut |_| {});
        caches.iter_mut().for_each(|cache| cache.advance(1));
        self.norm.forward(hidden_states)
    }

    /// Sequences of which [`Decoder::forward_steps`] reads the weights once, and [`Decoder::logits`] the vocabulary's: more
    /// are better pushed in groups of so many.
    pub fn rows_at_once(&self) -> usize {
        let quantized = self.layers.first().is_some_and(DecoderLayer::is_quantized);
        match (is_cpu(&self.device()), quantized) {
            (false, _) => usize::MAX,
            (true, false) => ROWS_ON_CPU,
            (true, true) => QUANTIZED_ROWS_ON_CPU,
        }
    }

    /// Runs whole sequences without a cache, for training; returns the final-norm output.
    ///
    /// Sequences of one batch that are shorter than the longest are padded at their end: no position sees a later one.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[batch, positions, hidden_size]`
    /// - output: `[batch, positions, hidden_size]`
    pub fn forward_sequences(&self, inputs_embeds: Tensor<3>) -> Tensor<3> {
        let positions = 0..inputs_embeds.dims()[1];
        self.norm.forward(self.run_layers(inputs_embeds, positions, Context::Sequence, &mut |_| {}))
    }

    /// Runs one sequence that goes on in several ways, without a cache, for training; returns the final-norm output.
    ///
    /// Every branch sees the `prefix` and itself, and stands at the positions after the prefix, as if it alone followed.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, prefix + branches, hidden_size]`, the branches of the given lengths one after the other
    /// - output: as the input
    pub fn forward_branches(&self, inputs_embeds: Tensor<3>, prefix: usize, branches: &[usize]) -> Tensor<3> {
        let branch_positions = branches.iter().flat_map(|len| prefix..prefix + len);
        let positions = (0..prefix).chain(branch_positions);
        self.norm.forward(self.run_layers(inputs_embeds, positions, Context::Branches(prefix, branches), &mut |_| {}))
    }

    /// Pushes a prompt in chunks of `chunk` positions, which bounds the memory it takes, and returns the final-norm
    /// output of the last position.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, positions, hidden_size]`, at least one position
    /// - output: `[1, 1, hidden_size]`
    pub fn prefill(&self, inputs_embeds: Tensor<3>, cache: &mut KvCache, chunk: usize) -> Tensor<3> {
        match self.prefill_with(inputs_embeds, cache, chunk, |_| Ok::<(), Infallible>(())) {
            Ok(last) => last,
            Err(never) => match never {},
        }
    }

    /// The same, asking after each layer of each chunk whether to go on.
    ///
    /// # Errors
    /// [`Cancelled`] when the watcher of `watched`, who is told of positions, wants no more. The cache then holds whole
    /// chunks only.
    #[doc(hidden)]
    pub fn prefill_watched(
        &self,
        inputs_embeds: Tensor<3>,
        cache: &mut KvCache,
        chunk: usize,
        watched: &WatchedStep<'_>,
    ) -> Result<Tensor<3>, Cancelled> {
        self.prefill_with(inputs_embeds, cache, chunk, |positions| watched.done(positions as u64))
    }

    fn prefill_with<E>(
        &self,
        inputs_embeds: Tensor<3>,
        cache: &mut KvCache,
        chunk: usize,
        mut observe: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Tensor<3>, E> {
        let [_, positions, _] = inputs_embeds.dims();
        let layers = self.layers.len().max(1);
        let mut last = inputs_embeds.clone();
        for start in (0..positions).step_by(chunk.max(1)) {
            let count = chunk.max(1).min(positions - start);
            let mut layer = 0;
            last = self.push(inputs_embeds.clone().narrow(1, start, count), cache, &mut |_| {
                layer += 1;
                observe(start + count * layer / layers)
            })?;
        }
        let count = last.dims()[1];
        Ok(self.norm.forward(last.narrow(1, count - 1, 1)))
    }

    /// The embeddings, the output of every layer, and of the last one the final-norm output, as Hugging Face's
    /// `output_hidden_states` gives them; each `[1, positions, hidden_size]`.
    pub fn hidden_states(&self, inputs_embeds: Tensor<3>) -> Vec<Tensor<3>> {
        let mut states = vec![inputs_embeds.clone()];
        let positions = 0..inputs_embeds.dims()[1];
        self.run_layers(inputs_embeds, positions, Context::Sequence, &mut |output| states.push(output.clone()));
        if let Some(last) = states.last_mut() {
            *last = self.norm.forward(last.clone());
        }
        states
    }

    /// Scores of the vocabulary: `[1, positions, hidden_size]` to `[1, positions, vocab_size]`.
    pub fn logits(&self, hidden_states: Tensor<3>) -> Tensor<3> {
        match &self.lm_head {
            Some(head) => head.forward(hidden_states),
            None => ops::linear(hidden_states, self.embed_tokens.weight.val(), None),
        }
    }

    /// Pushes positions through the layers and the cache, which has them once all layers have; `observe` gets the output
    /// of each.
    fn push<E>(
        &self,
        inputs_embeds: Tensor<3>,
        cache: &mut KvCache,
        observe: &mut impl FnMut(&Tensor<3>) -> Result<(), E>,
    ) -> Result<Tensor<3>, E> {
        let (start, count) = (cache.len(), inputs_embeds.dims()[1]);
        let (context, all) = (Context::Cached((&mut *cache, 0)), 0..self.layers.len());
        let hidden_states = self.try_layers(all, inputs_embeds, start..start + count, context, observe)?;
        cache.advance(count);
        Ok(hidden_states)
    }

    fn run_layers(
        &self,
        inputs_embeds: Tensor<3>,
        positions: impl IntoIterator<Item = usize>,
        context: Context<(&mut KvCache, usize)>,
        observe: &mut impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let mut observe = |output: &Tensor<3>| {
            observe(output);
            Ok::<(), Infallible>(())
        };
        match self.try_layers(0..self.layers.len(), inputs_embeds, positions, context, &mut observe) {
            Ok(hidden_states) => hidden_states,
            Err(never) => match never {},
        }
    }

    /// Runs some of the layers; `observe` gets the output of each.
    pub(crate) fn try_layers<E>(
        &self,
        layers: Range<usize>,
        inputs: Tensor<3>,
        positions: impl IntoIterator<Item = usize>,
        mut context: Context<(&mut KvCache, usize)>,
        observe: &mut impl FnMut(&Tensor<3>) -> Result<(), E>,
    ) -> Result<Tensor<3>, E> {
        let mut tables = self.rotary.tables(positions, &inputs.device());
        if !is_cpu(&inputs.device()) {
            // Once for all layers, which would each convert them.
            tables = (tables.0.cast(inputs.dtype()), tables.1.cast(inputs.dtype()));
        }
        let mut hidden_states = inputs;
        for (i, layer) in self.layers.iter().enumerate().take(layers.end).skip(layers.start) {
            let context = context.layer(i);
            hidden_states = ops::in_pool(hidden_states, |x| layer.forward(x, (&tables.0, &tables.1), context));
            observe(&hidden_states)?;
        }
        Ok(hidden_states)
    }
}
