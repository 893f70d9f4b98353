//! The formulas: bytes of each kind in each stage, at its fullest.
//!
//! They are computed in 128 bits: the largest is a product of frames, positions or new tokens, all cut to [`MOST`], and of
//! three of a configuration's sizes, which are 2^30 or less.

use longvu_core::Dtype;

use crate::{
    Residency,
    compress::{FrameSelector, SpatialStage, TemporalStage},
    encode::spill::WAITING_FRAMES,
    llm::PREFILL_CHUNK,
    plan::{
        settings::{Compute, PlanSettings, Workload},
        sizes::{
            ModelSizes,
            Part::{self, Connector, Dinov2, LanguageModel, Siglip},
        },
        stage_memory::{Item, ItemKind, Stage, StageMemory},
    },
    vision::SizePair,
};

const MIB: u128 = 1 << 20;
/// Frames, positions, tokens and frames of a batch beyond which a forecast no longer tells apart what does not fit anyway.
const MOST: usize = usize::MAX >> (usize::BITS / 2 - 2);

/// Code, libraries, threads, buffers of matrix products, what the allocator keeps.
const PROGRAM: u128 = 96 * MIB;
/// Pictures that a video decoder holds: references, and those its threads are at; a byte and a half a pixel.
const DECODER_PICTURES: u128 = 24;
/// Outputs of a linear layer whose weights are widened at a time.
const PANEL: u128 = 1024;
/// Bytes of activations that are lined up at a time.
const LINED_UP: u128 = 24 << 20;
/// Queries whose scores are in memory at a time where the CPU's kernels do not run.
const QUERY_CHUNK: usize = 512;
/// RGB frames between the decoder and the towers; three bytes a pixel.
const RGB_FRAMES: u128 = 6;
/// Most that the allocator keeps of parts that have gone: their small tensors leave holes between others.
const FRAGMENTS: u128 = 256 * MIB;

/// The steps of a run, in order.
pub(super) fn stages(model: &ModelSizes, settings: &PlanSettings, workload: &Workload) -> Vec<StageMemory> {
    let (tower_batch, max_len) = (settings.tower_batch.min(MOST), settings.max_len.min(MOST));
    let settings = &PlanSettings { tower_batch, max_len, ..*settings };
    let Workload { frames, text_tokens, max_new_tokens, .. } = *workload;
    let (frames, text_tokens) = (frames.min(MOST), text_tokens.min(MOST));
    let workload = &Workload { frames, text_tokens, max_new_tokens: max_new_tokens.min(MOST), ..*workload };
    let f = Formulas { model, settings, workload, shape: Shape::new(model, settings, workload) };
    let visual = workload.frames > 0;
    let mut stages = vec![f.load()];
    let on_demand = settings.residency == Residency::OnDemand;
    if visual {
        stages.extend(on_demand.then(|| f.load_one(Stage::LoadDinov2, Dinov2)));
        stages.push(f.look());
        stages.extend(on_demand.then(|| f.load_one(Stage::LoadSiglip, Siglip)));
        stages.push(f.aggregate());
    }
    if workload.answers {
        stages.extend(on_demand.then(|| f.load_one(Stage::LoadLanguageModel, LanguageModel)));
        stages.extend(visual.then(|| f.fuse()));
        stages.extend([f.prefill(), f.generate()]);
    }
    stages
}

/// Counts that the bytes follow from.
struct Shape {
    /// Frames that are kept, if no two look alike.
    kept: u128,
    /// Tokens of a frame at full and at low resolution.
    full: u128,
    low: u128,
    /// Frames of the temporal stage's window.
    window: u128,
    /// Cells of a tower's grid, and of an encoded frame.
    cells: u128,
    queries: u128,
    /// Most tokens of the prompt, and of its visual part.
    positions: u128,
    room: u128,
    /// Whether frames go in at low resolution, the best raised to full.
    mixed: bool,
    /// Bytes of a number that is computed with.
    number: u128,
}

impl Shape {
    fn new(model: &ModelSizes, settings: &PlanSettings, workload: &Workload) -> Self {
        let (config, budget) = (&model.config, model.budget(settings.max_len));
        let stage = TemporalStage::default();
        let text = workload.text_tokens;
        let frames = workload.frames;
        let reduced = stage.applies(frames, budget.temporal_limit(text));
        let kept = if reduced { frames.min(stage.max_frames()) } else { frames };
        let side = config.query_side();
        let size = SizePair::of_video(workload.width.max(1), workload.height.max(1));
        let full = size.kept_cells(side).tokens_with_newlines();
        let low = size.scaled(side, config.lowres_token).kept_cells(config.lowres_token).tokens_with_newlines();
        let room = budget.room(text);
        Self {
            kept: kept as u128,
            full: full as u128,
            low: low as u128,
            window: stage.window().min(frames) as u128,
            cells: config.feature_side().pow(2) as u128,
            queries: side.pow(2) as u128,
            positions: (text as u128 + (kept as u128 * full as u128).min(room as u128)).min(settings.max_len as u128),
            room: room as u128,
            mixed: budget.highres && (budget.high_frames(text)..=budget.low_frames(text)).contains(&kept),
            number: match settings.compute {
                Compute::Cpu => 4,
                Compute::Gpu => settings.weights.dtype.size() as u128,
            },
        }
    }
}

struct Formulas<'a> {
    model: &'a ModelSizes,
    settings: &'a PlanSettings,
    workload: &'a Workload,
    shape: Shape,
}

/// A transformer, as far as its activations depend on it.
struct Transformer {
    /// Positions that go through at once.
    tokens: u128,
    width: u128,
    /// Width of queries, keys and values together.
    projections: u128,
    /// Numbers of the feed-forward's hidden layers, a token.
    hidden: u128,
    /// Scores of attention, a token, where they are in memory whole.
    scores: u128,
    /// Inputs of the widest linear layer.
    inputs: u128,
}

impl Formulas<'_> {
    fn stage(&self, stage: Stage, items: &[(ItemKind, u128)]) -> StageMemory {
        let reads = items.iter().any(|(kind, _)| *kind == ItemKind::Reading);
        let left = (!reads).then(|| self.reading());
        let weights: u128 = items.iter().filter(|(kind, _)| *kind == ItemKind::Weights).map(|(_, bytes)| bytes).sum();
        let on_demand = self.settings.residency == Residency::OnDemand;
        let holes = on_demand.then_some((ItemKind::Reading, (weights / 4).min(FRAGMENTS)));
        let items = items.iter().chain(&left).chain(&holes);
        let bytes = |kind| items.clone().filter(|(k, _)| *k == kind).map(|(_, bytes)| bytes).sum::<u128>();
        let item = |kind, bytes: u128| Item { kind, bytes: bytes.try_into().unwrap_or(u64::MAX) };
        let all = ItemKind::ALL.into_iter().map(|kind| item(kind, bytes(kind)));
        let mut items: Vec<Item> = all.filter(|item| item.bytes > 0).collect();
        items.insert(0, item(ItemKind::Program, PROGRAM));
        StageMemory { stage, items }
    }

    /// Weights of the parts that a stage uses, or of all that are there anyway.
    fn weights(&self, used: &[Part]) -> (ItemKind, u128) {
        let all = [Siglip, Dinov2, Connector, LanguageModel];
        // A run that answers nothing leaves the language model where it is.
        let there = if self.workload.answers { &all[..] } else { &all[..3] };
        let on_demand = self.settings.residency == Residency::OnDemand;
        let parts = if on_demand { used } else { there };
        (ItemKind::Weights, parts.iter().map(|&part| u128::from(self.model.part_weights(part, self.settings))).sum())
    }

    fn load(&self) -> StageMemory {
        self.stage(Stage::Load, &[self.weights(&[Connector]), self.reading()])
    }

    /// Blocks on their way from the files at the beginning. The allocator does not give them back for certain.
    fn reading(&self) -> (ItemKind, u128) {
        let reading = |part| u128::from(self.model.reading(part, self.settings));
        let parts = [LanguageModel, Siglip, Dinov2].map(reading);
        let parts = if self.workload.answers { &parts[..] } else { &parts[1..] };
        let bytes = match (self.settings.residency, self.settings.compute) {
            (Residency::OnDemand, _) => reading(Connector),
            // Side by side.
            (Residency::Whole | Residency::Towers, Compute::Cpu) => parts.iter().sum(),
            (Residency::Whole | Residency::Towers, Compute::Gpu) => parts.iter().copied().max().unwrap_or_default(),
        };
        (ItemKind::Reading, bytes)
    }

    fn load_one(&self, stage: Stage, part: Part) -> StageMemory {
        let reading = (ItemKind::Reading, u128::from(self.model.reading(part, self.settings)));
        let rest = match stage {
            Stage::LoadDinov2 => (ItemKind::Features, 0),
            Stage::LoadSiglip => self.held(),
            _ => self.encoded(),
        };
        self.stage(stage, &[self.weights(&[part, Connector]), reading, rest])
    }

    fn look(&self) -> StageMemory {
        let model = &self.model.dinov2;
        let (width, inner) = (model.hidden_size as u128, model.intermediate_size() as u128);
        let tokens = (self.model.input[1] / model.patch_size).pow(2) as u128 + 1;
        let hidden = if model.use_swiglu_ffn { 3 * inner } else { 2 * inner };
        let heads = model.num_attention_heads as u128;
        let inputs = width.max(inner);
        let tower = Transformer { tokens, width, projections: 3 * width, hidden, scores: heads * tokens, inputs };
        let window = self.shape.window * self.shape.cells * width * 4;
        self.stage(
            Stage::Look,
            &[
                self.weights(&[Dinov2, Connector]),
                self.frames(),
                (ItemKind::Activations, self.tower(&tower, self.model.input[1])),
                // The window as it is gathered, and as the temporal stage normalises it; and what the next frame may repeat.
                (ItemKind::Features, 3 * window + self.held().1 + self.shape.cells * width * 4),
            ],
        )
    }

    fn aggregate(&self) -> StageMemory {
        let model = &self.model.siglip;
        let (width, inner) = (model.hidden_size as u128, model.intermediate_size as u128);
        let (tokens, heads) = (model.patch_side().pow(2) as u128, model.num_attention_heads as u128);
        let (hidden, inputs) = (2 * inner, width.max(inner));
        let tower = Transformer { tokens, width, projections: 3 * width, hidden, scores: heads * tokens, inputs };
        let activations = self.tower(&tower, self.model.input[0]).max(self.aggregator());
        self.stage(
            Stage::Aggregate,
            &[self.weights(&[Siglip, Connector]), (ItemKind::Activations, activations), self.held(), self.encoded()],
        )
    }

    fn fuse(&self) -> StageMemory {
        let Shape { kept, full, low, room, mixed, number, .. } = self.shape;
        let hidden = self.model.config.decoder.hidden_size as u128;
        // Hidden layer and output of the projector, or its output and the same with newlines; GPUs keep one more.
        let copies = if self.settings.compute == Compute::Cpu { 2 } else { 3 };
        let laid_out = match kept * full {
            _ if mixed => copies * kept * low,
            all if all <= room => copies * all,
            // A chunk at a time, of which everything is kept if no two frames are alike.
            all => all + copies * SpatialStage::default().chunk as u128 * full,
        };
        // The visual tokens, and the prompt that they become part of.
        let tokens = (laid_out + 2 * room.min(kept * full)) * hidden * number;
        self.stage(
            Stage::Fuse,
            &[self.weights(&[LanguageModel, Connector]), self.encoded(), (ItemKind::Tokens, tokens)],
        )
    }

    fn prefill(&self) -> StageMemory {
        let model = &self.model.config.decoder;
        let (width, inner) = (model.hidden_size as u128, model.intermediate_size as u128);
        let head = model.head_size() as u128;
        let (heads, kv_heads) = (model.num_attention_heads as u128, model.kv_heads() as u128);
        let decoder = Transformer {
            tokens: self.shape.positions.min(PREFILL_CHUNK as u128),
            width,
            projections: 2 * (heads + 2 * kv_heads) * head,
            hidden: 3 * inner,
            // Elsewhere than on the CPU a chunk's queries take turns.
            scores: heads * self.shape.positions / PREFILL_CHUNK.div_ceil(QUERY_CHUNK) as u128,
            inputs: width.max(inner),
        };
        // With a stage between the layers, what the first of them gave of the whole prompt, in pieces and put together.
        let copies = if self.settings.decoder_stage { 3 } else { 1 };
        let embeds = copies * self.shape.positions * width * self.shape.number;
        self.stage(
            Stage::Prefill,
            &[
                self.weights(&[LanguageModel, Connector]),
                self.encoded(),
                (ItemKind::Tokens, embeds),
                self.kv_cache(),
                (ItemKind::Activations, self.layer(&decoder)),
            ],
        )
    }

    fn generate(&self) -> StageMemory {
        let logits = 4 * self.model.config.decoder.vocab_size as u128 * 4;
        self.stage(
            Stage::Generate,
            &[
                self.weights(&[LanguageModel, Connector]),
                self.encoded(),
                self.kv_cache(),
                (ItemKind::Activations, logits),
            ],
        )
    }

    /// Activations of one layer at its fullest.
    fn layer(&self, model: &Transformer) -> u128 {
        let Transformer { tokens, width, projections, hidden, scores, inputs } = *model;
        // The residual stream, its norm, and what is made of it.
        let attention = 3 * width + projections;
        let feed_forward = 3 * width + hidden;
        let scores = match self.settings.compute {
            Compute::Cpu => 0,
            // Products, masked or scaled ones, and their softmax.
            Compute::Gpu => 3 * scores,
        };
        tokens * (attention + scores).max(feed_forward) * self.shape.number + self.lined_up(tokens, inputs)
    }

    /// Activations that the CPU lines up for a product of many rows; weights that it widens where it has no tiles for them.
    fn lined_up(&self, tokens: u128, inputs: u128) -> u128 {
        if self.settings.compute != Compute::Cpu {
            return 0;
        }
        let activations = (tokens * inputs * 4).min(LINED_UP);
        let widened = self.settings.weights.dtype != Dtype::F32 || self.settings.weights.quantize.is_some();
        activations.max(if widened { PANEL * inputs * 4 } else { 0 })
    }

    /// Activations of a batch of frames in a tower, its pixels and its resampled output included.
    fn tower(&self, model: &Transformer, side: usize) -> u128 {
        let pixels = 3 * (side as u128).pow(2);
        let features = (model.tokens + self.shape.cells) * model.width * 4;
        let frame = self.layer(model) + 2 * pixels * self.shape.number + 2 * features;
        self.batch() * frame
    }

    /// Activations of a batch of frames in the aggregator: both towers' projected cells, grouped, normed, and as keys
    /// and values.
    fn aggregator(&self) -> u128 {
        let towers = 2 * self.shape.cells * self.model.config.vision_hidden_size as u128 * self.shape.number;
        self.batch() * 6 * towers
    }

    fn batch(&self) -> u128 {
        self.settings.tower_batch.min(self.workload.frames) as u128
    }

    /// Decoder, RGB frames in flight, two windows of resized ones, and the one that the next is compared with.
    fn frames(&self) -> (ItemKind, u128) {
        let pixels = u128::from(self.workload.width) * u128::from(self.workload.height);
        let resized: u128 = self.model.input.iter().map(|&side| 3 * (side as u128).pow(2)).sum();
        let decoder = if self.workload.frames > 1 { DECODER_PICTURES * pixels * 3 / 2 } else { 0 };
        let rgb = RGB_FRAMES.min(self.workload.frames as u128 + 1) * pixels * 3;
        (ItemKind::Frames, decoder + rgb + (2 * self.shape.window + 1) * resized)
    }

    /// Features and pixels of frames that wait for SigLIP.
    fn held(&self) -> (ItemKind, u128) {
        let pixels = 3 * (self.model.input[0] as u128).pow(2);
        let frame = self.shape.cells * self.model.dinov2.hidden_size as u128 * 4 + pixels;
        (ItemKind::Features, self.workload.frames.min(WAITING_FRAMES) as u128 * frame)
    }

    /// Aggregated frames, which come into the tensor that they stay in.
    fn encoded(&self) -> (ItemKind, u128) {
        let frame = self.shape.queries * self.model.config.vision_hidden_size as u128 * self.shape.number;
        (ItemKind::Encoded, self.shape.kept * frame)
    }

    fn kv_cache(&self) -> (ItemKind, u128) {
        let positions = self.shape.positions + self.workload.max_new_tokens as u128;
        let position = self.model.config.decoder.kv_bytes_per_position(1) as u128 * self.shape.number;
        (ItemKind::KvCache, positions * position)
    }
}
