//! One layer of the decoder: attention over what came before, and the feed-forward.
//!
//! Field names follow the state dict.

use burn::{
    module::Module,
    tensor::{DType, Tensor, activation},
};
use longvu_checkpoint::{
    Weights,
    config::{DecoderConfig, LanguageModel},
    nn::{Linear, LinearWeight, RmsNorm, gated},
};
use longvu_core::ops;

use crate::{KvCache, kv_cache::LayerCache};

/// What positions see, where `C` holds those that came before.
pub(crate) enum Context<'a, C> {
    /// All before them.
    Sequence,
    /// All before them, and all that is cached.
    Cached(C),
    /// A prefix of a length, and what is before them in their branch; branches have the given lengths.
    Branches(usize, &'a [usize]),
    /// Each what its own sequence has cached: one position of every sequence.
    Steps(Vec<C>),
}

impl<'a> Context<'a, (&mut KvCache, usize)> {
    /// The same for a layer, whose cache it takes with the number of positions held there. So many more may have been pushed
    /// that the cache does not count yet.
    pub(crate) fn layer(&mut self, index: usize) -> Context<'a, (&mut LayerCache, usize)> {
        match self {
            Self::Sequence => Context::Sequence,
            Self::Cached(cached) => Context::Cached(layer_of(cached, index)),
            Self::Branches(prefix, branches) => Context::Branches(*prefix, branches),
            Self::Steps(caches) => Context::Steps(caches.iter_mut().map(|cached| layer_of(cached, index)).collect()),
        }
    }
}

fn layer_of<'c>((cache, ahead): &'c mut (&mut KvCache, usize), index: usize) -> (&'c mut LayerCache, usize) {
    let len = cache.stored(index) + *ahead;
    (cache.layer(index), len)
}

#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl DecoderLayer {
    pub(crate) fn new(config: &DecoderConfig, family: LanguageModel, weights: &Weights) -> Self {
        let norm = |name: &str| RmsNorm::new(&weights.at(name), config.hidden_size, config.rms_norm_eps);
        Self {
            input_layernorm: norm("input_layernorm"),
            self_attn: Attention::new(config, family, &weights.at("self_attn")),
            post_attention_layernorm: norm("post_attention_layernorm"),
            mlp: Mlp::new(config, &weights.at("mlp")),
        }
    }

    /// Whether its weights are held in groups of integers.
    pub(crate) fn is_quantized(&self) -> bool {
        matches!(self.mlp.down_proj.weight, LinearWeight::Quantized(_))
    }

    pub(crate) fn forward(
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

    /// The attention that a position pays to each of `keys`, as the mean over heads.
    ///
    /// # Shapes
    /// - `hidden_states`: `[1, 1, hidden_size]`, the layer's input at the position
    /// - `keys`: `[1, kv_heads, keys, head_dim]`, of this layer, up to the position
    pub(crate) fn attention_paid(
        &self,
        hidden_states: Tensor<3>,
        tables: (&Tensor<2>, &Tensor<2>),
        keys: Tensor<4>,
    ) -> Vec<f32> {
        self.self_attn.paid(self.input_layernorm.forward(hidden_states), tables, keys)
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
            Context::Sequence => ops::causal_attention_in(self.q_proj.precision(), query, key, value),
            Context::Cached((cache, start)) => {
                let (keys, values) = cache.push(start, key, value);
                ops::causal_attention_in(self.q_proj.precision(), query, keys, values)
            }
            Context::Branches(prefix, branches) => branched_attention([query, key, value], prefix, branches),
            Context::Steps(caches) => attention_of_steps([query, key, value], caches),
        };
        self.o_proj.forward(attended.swap_dims(1, 2).reshape([batch, positions, self.heads * self.head_dim]))
    }

    fn paid(&self, x: Tensor<3>, (cos, sin): (&Tensor<2>, &Tensor<2>), keys: Tensor<4>) -> Vec<f32> {
        let count = keys.dims()[2];
        let query = self.q_proj.forward(x).reshape([1, 1, self.heads, self.head_dim]);
        // Heads that share a key head become rows of one product.
        let group = self.heads / self.kv_heads;
        let query = ops::rotary(query, cos, sin).reshape([1, self.kv_heads, group, self.head_dim]).cast(DType::F32);
        let scores = query.matmul(keys.cast(DType::F32).transpose()) * (self.head_dim as f64).powf(-0.5);
        let paid = activation::softmax(scores, 3).reshape([self.heads, count]).mean_dim(0);
        paid.into_data().iter().collect()
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

/// Attention of one position of each of several sequences to what its sequence's cache holds, and to itself.
fn attention_of_steps([query, key, value]: [Tensor<4>; 3], caches: Vec<(&mut LayerCache, usize)>) -> Tensor<4> {
    let row = |x: &Tensor<4>, i| x.clone().narrow(2, i, 1);
    let attend = |(i, (cache, start)): (usize, (&mut LayerCache, usize))| {
        let (keys, values) = cache.push(start, row(&key, i), row(&value, i));
        ops::causal_attention(row(&query, i), keys, values)
    };
    Tensor::cat(caches.into_iter().enumerate().map(attend).collect(), 2)
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
        self.down_proj.forward(gated(&self.gate_proj, &self.up_proj, x))
    }
}
