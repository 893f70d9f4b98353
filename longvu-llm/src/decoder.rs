//! The Qwen2 and Llama decoder: one implementation, with or without biases.
//!
//! Field names follow the state dict; `docs` of shapes use `positions` for the length of what is pushed at once.

use std::convert::Infallible;

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData},
};
use longvu_checkpoint::{
    Weights,
    config::{DecoderConfig, LanguageModel},
    nn::{Embedding, Linear, RmsNorm},
};
use longvu_core::{Cancelled, WatchedStep, ops};

use crate::{KvCache, RotaryEmbedding, kv_cache::LayerCache};

/// A causal language model.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    /// Absent when it shares the embedding's weight.
    lm_head: Option<Linear>,
    #[module(skip)]
    rotary: RotaryEmbedding,
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
        let hidden_states = self.try_layers(inputs_embeds, start..start + count, Context::Cached(cache), observe)?;
        cache.advance(count);
        Ok(hidden_states)
    }

    fn run_layers(
        &self,
        inputs_embeds: Tensor<3>,
        positions: impl IntoIterator<Item = usize>,
        context: Context<&mut KvCache>,
        observe: &mut impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let mut observe = |output: &Tensor<3>| {
            observe(output);
            Ok::<(), Infallible>(())
        };
        match self.try_layers(inputs_embeds, positions, context, &mut observe) {
            Ok(hidden_states) => hidden_states,
            Err(never) => match never {},
        }
    }

    fn try_layers<E>(
        &self,
        inputs_embeds: Tensor<3>,
        positions: impl IntoIterator<Item = usize>,
        mut context: Context<&mut KvCache>,
        observe: &mut impl FnMut(&Tensor<3>) -> Result<(), E>,
    ) -> Result<Tensor<3>, E> {
        let tables = self.rotary.tables(positions, &inputs_embeds.device());
        let mut hidden_states = inputs_embeds;
        for (i, layer) in self.layers.iter().enumerate() {
            hidden_states = layer.forward(hidden_states, (&tables.0, &tables.1), context.layer(i));
            observe(&hidden_states)?;
        }
        Ok(hidden_states)
    }
}

/// What positions see, where `C` holds those that came before.
enum Context<'a, C> {
    /// All before them.
    Sequence,
    /// All before them, and all that is cached.
    Cached(C),
    /// A prefix of a length, and what is before them in their branch; branches have the given lengths.
    Branches(usize, &'a [usize]),
}

impl<'a> Context<'a, &mut KvCache> {
    /// The same for a layer, whose cache it takes with the number of positions held.
    fn layer(&mut self, index: usize) -> Context<'a, (&mut LayerCache, usize)> {
        match self {
            Self::Sequence => Context::Sequence,
            Self::Cached(cache) => {
                let len = cache.len();
                Context::Cached((cache.layer(index), len))
            }
            Self::Branches(prefix, branches) => Context::Branches(*prefix, branches),
        }
    }
}

#[derive(Module, Debug)]
struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl DecoderLayer {
    fn new(config: &DecoderConfig, family: LanguageModel, weights: &Weights) -> Self {
        let norm = |name: &str| RmsNorm::new(&weights.at(name), config.hidden_size, config.rms_norm_eps);
        Self {
            input_layernorm: norm("input_layernorm"),
            self_attn: Attention::new(config, family, &weights.at("self_attn")),
            post_attention_layernorm: norm("post_attention_layernorm"),
            mlp: Mlp::new(config, &weights.at("mlp")),
        }
    }

    fn forward(
        &self,
        hidden_states: Tensor<3>,
        tables: (&Tensor<2>, &Tensor<2>),
        context: Context<(&mut LayerCache, usize)>,
    ) -> Tensor<3> {
        let attended = self.self_attn.forward(self.input_layernorm.forward(hidden_states.clone()), tables, context);
        let hidden_states = ops::add_residual(hidden_states, attended, None);
        let fed = self.mlp.forward(self.post_attention_layernorm.forward(hidden_states.clone()));
        ops::add_residual(hidden_states, fed, None)
    }
}

#[derive(Module, Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    fn new(config: &DecoderConfig, family: LanguageModel, weights: &Weights) -> Self {
        let (heads, kv_heads, head_dim) = (config.num_attention_heads, config.kv_heads(), config.head_size());
        let llama_bias = family == LanguageModel::Llama && config.attention_bias;
        let qkv_bias = family.has_qkv_bias() || llama_bias;
        weights.tolerated("rotary_emb.inv_freq", &[head_dim / 2]);
        let project =
            |name: &str, heads: usize| Linear::new(&weights.at(name), config.hidden_size, heads * head_dim, qkv_bias);
        Self {
            q_proj: project("q_proj", heads),
            k_proj: project("k_proj", kv_heads),
            v_proj: project("v_proj", kv_heads),
            o_proj: Linear::new(&weights.at("o_proj"), heads * head_dim, config.hidden_size, llama_bias),
            heads,
            kv_heads,
            head_dim,
        }
    }

    fn forward(
        &self,
        x: Tensor<3>,
        (cos, sin): (&Tensor<2>, &Tensor<2>),
        context: Context<(&mut LayerCache, usize)>,
    ) -> Tensor<3> {
        let [batch, positions, _] = x.dims();
        let split = |projection: &Linear, heads: usize| {
            projection.forward(x.clone()).reshape([batch, positions, heads, self.head_dim])
        };
        let query = ops::rotary(split(&self.q_proj, self.heads), cos, sin).swap_dims(1, 2);
        let key = ops::rotary(split(&self.k_proj, self.kv_heads), cos, sin).swap_dims(1, 2);
        let value = split(&self.v_proj, self.kv_heads).swap_dims(1, 2);
        let attended = match context {
            Context::Sequence => ops::causal_attention(query, key, value),
            Context::Cached((cache, start)) => {
                let (keys, values) = cache.push(start, key, value);
                ops::causal_attention(query, keys, values)
            }
            Context::Branches(prefix, branches) => branched_attention([query, key, value], prefix, branches),
        };
        self.o_proj.forward(attended.swap_dims(1, 2).reshape([batch, positions, self.heads * self.head_dim]))
    }
}

/// Causal attention of a prefix, and of each branch to the prefix and itself.
fn branched_attention([query, key, value]: [Tensor<4>; 3], prefix: usize, branches: &[usize]) -> Tensor<4> {
    let part = |x: &Tensor<4>, start, len| x.clone().narrow(2, start, len);
    let (prefix_key, prefix_value) = (part(&key, 0, prefix), part(&value, 0, prefix));
    let first = ops::causal_attention(part(&query, 0, prefix), prefix_key.clone(), prefix_value.clone());
    let mut attended = vec![first];
    let mut start = prefix;
    for &len in branches {
        let keys = Tensor::cat(vec![prefix_key.clone(), part(&key, start, len)], 2);
        let values = Tensor::cat(vec![prefix_value.clone(), part(&value, start, len)], 2);
        attended.push(ops::causal_attention(part(&query, start, len), keys, values));
        start += len;
    }
    Tensor::cat(attended, 2)
}

#[derive(Module, Debug)]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn new(config: &DecoderConfig, weights: &Weights) -> Self {
        let (hidden, inner, bias) = (config.hidden_size, config.intermediate_size, config.mlp_bias);
        Self {
            gate_proj: Linear::new(&weights.at("gate_proj"), hidden, inner, bias),
            up_proj: Linear::new(&weights.at("up_proj"), hidden, inner, bias),
            down_proj: Linear::new(&weights.at("down_proj"), inner, hidden, bias),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.down_proj.forward(ops::silu_mul(self.gate_proj.forward(x.clone()), self.up_proj.forward(x)))
    }
}
