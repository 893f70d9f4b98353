//! The spatial vision aggregator: queries on a coarse grid that gather both towers' features from beneath them.
//!
//! The design is Cambrian-1's spatial vision aggregator, which LongVU (section 3.2 of the paper) uses before the
//! language model. The names of the fields are those of the checkpoint's state dict, under `model.`.

use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Tensor, TensorData},
};
use longvu_checkpoint::{
    Weights,
    config::LongVuConfig,
    nn::{LayerNorm, Linear},
};
use longvu_core::ops::{self, Activation};

use crate::SizePair;

/// Epsilon of the connector's layer norms, PyTorch's default.
const EPS: f64 = 1e-5;

/// Sizes of the aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AggregatorConfig {
    /// Channels of each tower's features, SigLIP first.
    pub tower_channels: [usize; 2],
    /// Width of the aggregator: 1024.
    pub channels: usize,
    /// Attention heads: 16.
    pub heads: usize,
    /// Number of layers: 3.
    pub depth: usize,
    /// Side of the towers' feature grids: 24.
    pub feature_side: usize,
    /// Side of the query grid: 12.
    pub query_side: usize,
}

impl AggregatorConfig {
    /// The sizes in a checkpoint's `config.json`, for towers of the given widths.
    pub fn new(config: &LongVuConfig, siglip_channels: usize, dinov2_channels: usize) -> Self {
        Self {
            tower_channels: [siglip_channels, dinov2_channels],
            channels: config.vision_hidden_size,
            heads: config.aggregator_heads(),
            depth: config.connector_depth,
            feature_side: config.feature_side(),
            query_side: config.query_side(),
        }
    }

    /// The sizes of the published models, for towers of the given widths, SigLIP first.
    pub fn published(tower_channels: [usize; 2]) -> Self {
        Self { tower_channels, channels: 1024, heads: 16, depth: 3, feature_side: 24, query_side: 12 }
    }

    /// Keys of one tower beneath one query.
    fn keys_per_query(&self) -> usize {
        (self.feature_side / self.query_side).pow(2)
    }
}

/// Fuses SigLIP and DINOv2 features into one grid of tokens a frame.
#[derive(Module, Debug)]
pub struct SpatialVisionAggregator {
    siglip_projector: AuxProjector,
    dinov2_projector: AuxProjector,
    vision_query: Param<Tensor<2>>,
    layers: Vec<AggregatorLayer>,
    feature_side: usize,
    query_side: usize,
}

impl SpatialVisionAggregator {
    /// Takes the aggregator from the `model` level of a checkpoint.
    pub fn new(config: &AggregatorConfig, weights: &Weights) -> Self {
        let [siglip, dinov2] = config.tower_channels;
        let layers = weights.at("vision_sampler_0.layers");
        Self {
            siglip_projector: AuxProjector::new(&weights.at("mm_projector_aux_0"), siglip, config.channels),
            dinov2_projector: AuxProjector::new(&weights.at("mm_projector_aux_1"), dinov2, config.channels),
            vision_query: weights.tensor("vision_query", [1, config.channels]),
            layers: (0..config.depth).map(|i| AggregatorLayer::new(config, &layers.at(i))).collect(),
            feature_side: config.feature_side,
            query_side: config.query_side,
        }
    }

    /// The dtype that both towers' features are cast to first.
    pub fn dtype(&self) -> DType {
        self.vision_query.val().dtype()
    }

    /// Side of the query grid.
    pub fn query_side(&self) -> usize {
        self.query_side
    }

    /// Aggregates frames of one size.
    ///
    /// # Shapes
    /// - `siglip`, `dinov2`: `[frames, feature_side^2, channels]` of each tower
    /// - output: `[frames, query_side^2, channels]` of the aggregator
    pub fn forward(&self, siglip: Tensor<3>, dinov2: Tensor<3>, size: SizePair) -> Tensor<3> {
        let frames = siglip.dims()[0];
        let dtype = self.dtype();
        let siglip = self.siglip_projector.forward(siglip.cast(dtype));
        let dinov2 = self.dinov2_projector.forward(dinov2.cast(dtype));
        let channels = siglip.dims()[2];
        let queries = self.query_side * self.query_side;

        let context = siglip.clone().cast(DType::F32).mean_dim(1).cast(dtype);
        let patches = [self.gather(siglip), self.gather(dinov2)];
        let mask = self.mask(size, frames, &context.device());
        let mut query = self.vision_query.val().unsqueeze::<3>().expand([frames, queries, channels]);
        for layer in &self.layers {
            query = layer.forward(query, context.clone(), &patches, mask.clone());
        }
        query
    }

    /// Numbers of the towers' cells as numbers of the queries above them: the means.
    ///
    /// # Shapes
    /// - `cells`: `[frames, feature_side^2]`
    /// - output: `[frames, query_side^2]`
    pub fn means_beneath(&self, cells: Tensor<2>) -> Tensor<2> {
        let frames = cells.dims()[0];
        self.gather(cells.unsqueeze_dim(2)).mean_dim(1).reshape([frames, self.query_side * self.query_side])
    }

    /// Groups a grid's cells by the query above them: `[frames * queries, keys, channels]`.
    fn gather(&self, features: Tensor<3>) -> Tensor<3> {
        let [frames, _, channels] = features.dims();
        let (side, reduce) = (self.query_side, self.feature_side / self.query_side);
        features.reshape([frames, side, reduce, side, reduce, channels]).permute([0, 1, 3, 2, 4, 5]).reshape([
            frames * side * side,
            reduce * reduce,
            channels,
        ])
    }

    /// Keys that are padding, `[frames * queries, 1, 1, 2 * keys]`, true where hidden; `None` when nothing is.
    ///
    /// A query whose keys would all be hidden keeps them.
    fn mask(&self, size: SizePair, frames: usize, device: &burn::tensor::Device) -> Option<Tensor<4, Bool>> {
        let kept = size.kept_cells(self.feature_side);
        let reduce = self.feature_side / self.query_side;
        let mut hidden = Vec::new();
        for query in 0..self.query_side * self.query_side {
            let (row, column) = (query / self.query_side * reduce, query % self.query_side * reduce);
            let keys = (0..reduce * reduce).map(|k| !kept.contains(row + k / reduce, column + k % reduce));
            let mut keys: Vec<bool> = keys.collect();
            if keys.iter().all(|&h| h) {
                keys.fill(false);
            }
            hidden.extend(keys.iter().chain(&keys));
        }
        if !hidden.contains(&true) {
            return None;
        }
        let (queries, keys) = (self.query_side * self.query_side, 2 * reduce * reduce);
        let mask = Tensor::<4, Bool>::from_data(TensorData::new(hidden, [queries, 1, 1, keys]), device);
        Some(mask.repeat_dim(0, frames))
    }
}

/// `mm_projector_aux_i`: a tower's features to the aggregator's width.
#[derive(Module, Debug)]
struct AuxProjector {
    linear_1: Linear,
    linear_2: Linear,
    norm: LayerNorm,
}

impl AuxProjector {
    fn new(weights: &Weights, d_input: usize, channels: usize) -> Self {
        Self {
            linear_1: Linear::new(&weights.at(0), d_input, channels, true),
            linear_2: Linear::new(&weights.at(2), channels, channels, true),
            norm: LayerNorm::new(&weights.at(3), channels, EPS),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.linear_2.forward(self.linear_1.forward_activated(x, Activation::Gelu)))
    }
}

#[derive(Module, Debug)]
struct AggregatorLayer {
    proj_context: Linear,
    proj_in: Linear,
    cross_attn: CrossAttention,
    norm: LayerNorm,
    linear_1: Linear,
    linear_2: Linear,
    pos_embeds: Vec<Param<Tensor<2>>>,
}

impl AggregatorLayer {
    fn new(config: &AggregatorConfig, weights: &Weights) -> Self {
        let (channels, keys) = (config.channels, config.keys_per_query());
        let linear = |name: &str, d_input: usize| Linear::new(&weights.at(name), d_input, channels, false);
        // With a single key per query and tower there is no position to tell apart, and no such tensor.
        let towers = if keys > 1 { 2 } else { 0 };
        (towers..2).for_each(|i| weights.forbidden(&format!("pos_embed_{i}")));
        Self {
            proj_context: linear("proj_context", channels),
            proj_in: linear("proj_in", 2 * channels),
            cross_attn: CrossAttention::new(channels, config.heads, &weights.at("cross_attn")),
            norm: LayerNorm::new(&weights.at("norm"), channels, EPS),
            linear_1: linear("proj_out.linear_1", channels),
            linear_2: linear("proj_out.linear_2", channels),
            pos_embeds: (0..towers).map(|i| weights.tensor(&format!("pos_embed_{i}"), [keys, channels])).collect(),
        }
    }

    fn forward(
        &self,
        query: Tensor<3>,
        context: Tensor<3>,
        patches: &[Tensor<3>; 2],
        mask: Option<Tensor<4, Bool>>,
    ) -> Tensor<3> {
        let context = self.proj_context.forward(context).expand(query.dims());
        let hidden_states = self.proj_in.forward(Tensor::cat(vec![query.clone(), context], 2));
        let patches: [Tensor<3>; 2] = std::array::from_fn(|i| {
            let patch = patches[i].clone();
            match self.pos_embeds.get(i) {
                Some(pos_embed) => patch + pos_embed.val().unsqueeze(),
                None => patch,
            }
        });
        let hidden_states = hidden_states.clone() + self.cross_attn.forward(hidden_states, patches, mask);
        let hidden_states = self.norm.forward(hidden_states);
        self.linear_2.forward(self.linear_1.forward_activated(hidden_states, Activation::Gelu)) + query
    }
}

/// One query attends to the keys of both towers that lie beneath it.
#[derive(Module, Debug)]
struct CrossAttention {
    q_proj: NormedLinear,
    k_proj: Vec<NormedLinear>,
    v_proj: Vec<NormedLinear>,
    o_proj: Linear,
    heads: usize,
}

impl CrossAttention {
    fn new(channels: usize, heads: usize, weights: &Weights) -> Self {
        let normed = |name: &str| NormedLinear::new(&weights.at(name), channels);
        Self {
            q_proj: normed("q_proj"),
            k_proj: (0..2).map(|i| normed(&format!("k_proj_{i}"))).collect(),
            v_proj: (0..2).map(|i| normed(&format!("v_proj_{i}"))).collect(),
            o_proj: Linear::new(&weights.at("o_proj"), channels, channels, false),
            heads,
        }
    }

    fn forward(&self, query: Tensor<3>, patches: [Tensor<3>; 2], mask: Option<Tensor<4, Bool>>) -> Tensor<3> {
        let [frames, queries, channels] = query.dims();
        let head_dim = channels / self.heads;
        let project = |projections: &[NormedLinear]| {
            let towers = projections.iter().zip(&patches).map(|(p, patch)| p.forward(patch.clone())).collect();
            let both = Tensor::cat(towers, 1);
            let [rows, keys, _] = both.dims();
            both.reshape([rows, keys, self.heads, head_dim]).swap_dims(1, 2)
        };
        let q = self.q_proj.forward(query).reshape([frames * queries, self.heads, 1, head_dim]);
        let attended = ops::attention(q, project(&self.k_proj), project(&self.v_proj), mask);
        self.o_proj.forward(attended.reshape([frames, queries, channels]))
    }
}

/// `Sequential(LayerNorm, Linear without bias)`.
#[derive(Module, Debug)]
struct NormedLinear {
    norm: LayerNorm,
    linear: Linear,
}

impl NormedLinear {
    fn new(weights: &Weights, channels: usize) -> Self {
        Self {
            norm: LayerNorm::new(&weights.at(0), channels, EPS),
            linear: Linear::new(&weights.at(1), channels, channels, false),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.linear.forward(self.norm.forward(x))
    }
}
