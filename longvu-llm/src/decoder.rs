//! The Qwen2 and Llama decoder: one implementation, with or without biases.
//!
//! Field names follow the state dict; `docs` of shapes use `positions` for the length of what is pushed at once.

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData},
};
use longvu_core::{
    Weights,
    config::{DecoderConfig, LanguageModel},
    nn::{Embedding, Linear, RmsNorm},
    ops,
};

use crate::{KvCache, kv_cache::LayerCache, rotary::RotaryEmbedding};

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
        self.norm.forward(self.run_layers(inputs_embeds, Some(cache), |_| {}))
    }

    /// Runs whole sequences without a cache, for training; returns the final-norm output.
    ///
    /// Sequences of one batch that are shorter than the longest are padded at their end: no position sees a later one.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[batch, positions, hidden_size]`
    /// - output: `[batch, positions, hidden_size]`
    pub fn forward_sequences(&self, inputs_embeds: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.run_layers(inputs_embeds, None, |_| {}))
    }

    /// Pushes a prompt in chunks of `chunk` positions, which bounds the memory it takes, and returns the final-norm
    /// output of the last position.
    ///
    /// # Shapes
    /// - `inputs_embeds`: `[1, positions, hidden_size]`, at least one position
    /// - output: `[1, 1, hidden_size]`
    pub fn prefill(&self, inputs_embeds: Tensor<3>, cache: &mut KvCache, chunk: usize) -> Tensor<3> {
        let [_, positions, _] = inputs_embeds.dims();
        let mut last = inputs_embeds.clone();
        for start in (0..positions).step_by(chunk.max(1)) {
            let count = chunk.max(1).min(positions - start);
            last = self.run_layers(inputs_embeds.clone().narrow(1, start, count), Some(cache), |_| {});
        }
        let count = last.dims()[1];
        self.norm.forward(last.narrow(1, count - 1, 1))
    }

    /// The embeddings, the output of every layer, and of the last one the final-norm output, as Hugging Face's
    /// `output_hidden_states` gives them; each `[1, positions, hidden_size]`.
    pub fn hidden_states(&self, inputs_embeds: Tensor<3>) -> Vec<Tensor<3>> {
        let mut states = vec![inputs_embeds.clone()];
        self.run_layers(inputs_embeds, None, |output| states.push(output.clone()));
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

    fn run_layers(
        &self,
        inputs_embeds: Tensor<3>,
        mut cache: Option<&mut KvCache>,
        mut observe: impl FnMut(&Tensor<3>),
    ) -> Tensor<3> {
        let positions = inputs_embeds.dims()[1];
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        let tables = self.rotary.tables(start, positions, &inputs_embeds.device());
        let mut hidden_states = inputs_embeds;
        for (i, layer) in self.layers.iter().enumerate() {
            let cache = cache.as_mut().map(|cache| cache.layer(i));
            hidden_states = layer.forward(hidden_states, (&tables.0, &tables.1), cache, start);
            observe(&hidden_states);
        }
        if let Some(cache) = cache {
            cache.advance(positions);
        }
        hidden_states
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
        cache: Option<&mut LayerCache>,
        start: usize,
    ) -> Tensor<3> {
        let attended =
            self.self_attn.forward(self.input_layernorm.forward(hidden_states.clone()), tables, cache, start);
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
        cache: Option<&mut LayerCache>,
        start: usize,
    ) -> Tensor<3> {
        let [batch, positions, _] = x.dims();
        let split = |projection: &Linear, heads: usize| {
            projection.forward(x.clone()).reshape([batch, positions, heads, self.head_dim])
        };
        let query = ops::rotary(split(&self.q_proj, self.heads), cos, sin).swap_dims(1, 2);
        let key = ops::rotary(split(&self.k_proj, self.kv_heads), cos, sin).swap_dims(1, 2);
        let value = split(&self.v_proj, self.kv_heads).swap_dims(1, 2);
        let (keys, values) = match cache {
            Some(cache) => cache.push(start, key, value),
            None => (key, value),
        };
        let attended = ops::causal_attention(query, keys, values);
        self.o_proj.forward(attended.swap_dims(1, 2).reshape([batch, positions, self.heads * self.head_dim]))
    }
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
