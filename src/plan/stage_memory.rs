//! The steps of a run, and what takes memory in each.

use serde::Serialize;

use crate::plan::settings::Compute;

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Reading the weights that are there from the beginning.
    Load,
    /// Reading the DINOv2 tower, where it comes on demand.
    LoadDinov2,
    /// Decoding, DINOv2 and the temporal stage.
    Look,
    /// Reading the SigLIP tower, where it comes on demand.
    LoadSiglip,
    /// SigLIP and the aggregator.
    Aggregate,
    /// Reading the language model, where it comes on demand.
    LoadLanguageModel,
    /// The query-guided and spatial stages.
    Fuse,
    /// The prompt's way through the language model.
    Prefill,
    /// The answer, token by token.
    Generate,
}

impl Stage {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadDinov2 => "load DINOv2",
            Self::Look => "decode, DINOv2, temporal",
            Self::LoadSiglip => "load SigLIP",
            Self::Aggregate => "SigLIP, aggregator",
            Self::LoadLanguageModel => "load language model",
            Self::Fuse => "query, spatial",
            Self::Prefill => "prompt",
            Self::Generate => "answer",
        }
    }
}

/// What takes memory in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ItemKind {
    /// Code, libraries and the allocator's slack.
    Program,
    /// Weights of the parts that are in memory.
    Weights,
    /// Weights on their way from the file.
    Reading,
    /// Decoded and resized frames.
    Frames,
    /// What a tower or the language model computes with.
    Activations,
    /// Features of frames, as far as they are not spilt to disk.
    Features,
    /// Encoded frames.
    Encoded,
    /// Visual tokens and input embeddings.
    Tokens,
    /// Keys and values of the language model.
    KvCache,
}

impl ItemKind {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Program,
        Self::Weights,
        Self::Reading,
        Self::Frames,
        Self::Activations,
        Self::Features,
        Self::Encoded,
        Self::Tokens,
        Self::KvCache,
    ];

    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Weights => "weights",
            Self::Reading => "reading",
            Self::Frames => "frames",
            Self::Activations => "activations",
            Self::Features => "features",
            Self::Encoded => "encoded",
            Self::Tokens => "tokens",
            Self::KvCache => "kv cache",
        }
    }

    /// Whether it is in the machine's memory even when a GPU computes.
    pub const fn on_host(self) -> bool {
        matches!(self, Self::Program | Self::Reading | Self::Frames)
    }
}

/// Memory of one kind in one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Item {
    /// What it is for.
    pub kind: ItemKind,
    /// How much, at most.
    pub bytes: u64,
}

/// Memory of one stage at its fullest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StageMemory {
    /// The step.
    pub stage: Stage,
    /// What takes memory, in the order of [`ItemKind::ALL`].
    pub items: Vec<Item>,
}

impl StageMemory {
    /// Bytes of one kind.
    pub fn bytes(&self, kind: ItemKind) -> u64 {
        self.items.iter().filter(|item| item.kind == kind).map(|item| item.bytes).fold(0, u64::saturating_add)
    }

    /// Bytes on the device that computes: on a GPU not what stays in the machine's memory.
    pub fn total(&self, compute: Compute) -> u64 {
        let there = |item: &&Item| compute == Compute::Cpu || !item.kind.on_host();
        self.items.iter().filter(there).map(|item| item.bytes).fold(0, u64::saturating_add)
    }
}

/// What each part's weights take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartWeights {
    /// The SigLIP tower.
    pub siglip: u64,
    /// The DINOv2 tower.
    pub dinov2: u64,
    /// Aggregator and projector.
    pub connector: u64,
    /// The language model.
    pub language_model: u64,
}

impl PartWeights {
    /// All of them.
    pub const fn total(&self) -> u64 {
        let towers = self.siglip.saturating_add(self.dinov2);
        towers.saturating_add(self.connector).saturating_add(self.language_model)
    }
}

/// Bytes as people read them: `17.2 GiB`, `512 MiB`.
pub fn bytes(count: u64) -> String {
    match count {
        n if n >= 1 << 30 => format!("{:.1} GiB", n as f64 / f64::from(1 << 30)),
        n => format!("{} MiB", n.div_ceil(1 << 20)),
    }
}
