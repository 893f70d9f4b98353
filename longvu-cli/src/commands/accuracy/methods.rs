//! Ways to fit a video into a number of visual tokens.

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::Result;
use clap::ValueEnum;
use longvu::{
    LongVu, LongVuBuilder,
    checkpoint::config::LongVuConfig,
    compress::{KeepFrames, KeepTokens, ScoreNothing, StageName, StageSpec, TemporalStage},
    vision::SizePair,
};
use rand::{SeedableRng, rngs::StdRng};

use crate::flags::StageArgs;

/// What is done to a video's frames, sampled at one a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum)]
pub enum Method {
    /// As many frames as fit at full resolution, evenly spread
    Uniform,
    /// As many, drawn at random
    Random,
    /// Evenly spread frames, all of them at low resolution
    Downsampled,
    /// The temporal stage alone, and evenly spread frames of what it keeps, at full resolution
    Temporal,
    /// The temporal and the query-guided stage
    TemporalQuery,
    /// All three stages
    LongVu,
    /// Every frame at full resolution, whatever the budget
    Everything,
    /// Frames picked by BOLT, at full resolution
    Bolt,
    /// Frames picked by AKS, at full resolution
    Aks,
    /// Frames picked by maximal marginal relevance, at full resolution
    Mmr,
    /// Frames that differ most, at full resolution
    KCenter,
    /// Tokens of every frame that DyCoke leaves
    Dycoke,
    /// Tokens of every frame that EVS leaves
    Evs,
    /// Tokens of every frame that VidCom2 leaves
    Vidcom2,
    /// Tokens of every frame that DivPrune leaves
    Divprune,
    /// Tokens of every frame that FastVID leaves
    Fastvid,
    /// Tokens of every frame that HoliTom leaves
    Holitom,
    /// Tokens of every frame that VisionZip leaves
    Visionzip,
    /// Every frame at full resolution in the first layers, and half of the tokens in the others, whatever the budget
    Fastv,
}

impl Method {
    /// Whether it fits a video into a budget.
    fn has_budget(self) -> bool {
        !matches!(self, Self::Everything | Self::Fastv)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Random => "random",
            Self::Downsampled => "downsampled",
            Self::Temporal => "temporal",
            Self::TemporalQuery => "temporal-query",
            Self::LongVu => "long-vu",
            Self::Everything => "everything",
            Self::Bolt => "bolt",
            Self::Aks => "aks",
            Self::Mmr => "mmr",
            Self::KCenter => "k-center",
            Self::Dycoke => "dycoke",
            Self::Evs => "evs",
            Self::Vidcom2 => "vidcom2",
            Self::Divprune => "divprune",
            Self::Fastvid => "fastvid",
            Self::Holitom => "holitom",
            Self::Visionzip => "visionzip",
            Self::Fastv => "fastv",
        }
    }
}

/// Sizes of the model that methods reckon with.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Tokens of a frame at full and at low resolution, newlines included.
    pub full: usize,
    pub low: usize,
    /// Tokens that a prompt has beside those of its video, and that are kept for the answer.
    pub text: usize,
    pub reserve: usize,
}

impl Sizes {
    /// For videos of `pixels` height and width, and prompts of `text` tokens beside theirs.
    pub fn of(config: &LongVuConfig, pixels: u32, text: usize) -> Self {
        let (side, low) = (config.query_side(), config.lowres_token);
        let square = SizePair::of_video(pixels, pixels);
        Self {
            full: square.kept_cells(side).tokens_with_newlines(),
            low: square.scaled(side, low).kept_cells(low).tokens_with_newlines(),
            text,
            reserve: config.inference_max_length,
        }
    }

    /// Visual tokens that the model's own window has room for.
    pub fn room(&self, config: &LongVuConfig) -> usize {
        config.tokenizer_model_max_length.saturating_sub(self.text + self.reserve).max(1)
    }
}

/// What is measured: a method, or stages by name.
#[derive(Debug, Clone)]
pub enum Way {
    Method(Method),
    Stages(StageArgs),
}

impl Way {
    /// Its name in the table.
    pub fn name(&self) -> String {
        match self {
            Self::Method(method) => method.name().to_owned(),
            Self::Stages(StageArgs { temporal, query, spatial, .. }) => {
                let stages = [("temporal", temporal), ("query", query), ("spatial", spatial)];
                let named = stages.iter().filter_map(|(stage, spec)| Some(format!("{stage}={}", spec.as_ref()?)));
                named.collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Whether it depends on how many visual tokens are allowed.
    pub fn has_budget(&self) -> bool {
        match self {
            Self::Method(method) => method.has_budget(),
            Self::Stages(_) => true,
        }
    }

    /// The model with its stages, and the window of a budget.
    ///
    /// # Errors
    /// As loading.
    pub fn load(&self, builder: LongVuBuilder, budget: usize, sizes: Sizes) -> Result<LongVu> {
        match self {
            Self::Method(method) => load(builder, *method, budget, sizes),
            Self::Stages(stages) => {
                let stages = StageArgs { budget: NonZeroUsize::new(budget), ..stages.clone() };
                Ok(stages.apply(builder.max_len(budget + sizes.text + sizes.reserve)).load()?)
            }
        }
    }

    /// The frames that it looks at, of `count` sampled ones: all, unless it draws them itself.
    pub fn chosen(&self, count: usize, budget: usize, sizes: Sizes, seed: u64) -> Vec<usize> {
        let full = (budget / sizes.full).max(1);
        if !matches!(self, Self::Method(Method::Random)) || count <= full {
            return (0..count).collect();
        }
        let mut chosen = rand::seq::index::sample(&mut StdRng::seed_from_u64(seed), count, full).into_vec();
        chosen.sort_unstable();
        chosen
    }
}

fn load(builder: LongVuBuilder, method: Method, budget: usize, sizes: Sizes) -> Result<LongVu> {
    let builder = if method.has_budget() { builder.visual_tokens(budget) } else { builder };
    let (full, low) = ((budget / sizes.full).max(1), (budget / sizes.low).max(1));
    let window = budget + sizes.text + sizes.reserve;
    let temporal = |max_frames, always| TemporalStage::default().with_max_frames(max_frames).with_always(always);
    let keep = |builder: LongVuBuilder, max_frames| {
        builder.temporal_stage(Arc::new(KeepFrames::new(max_frames))).spatial_stage(Arc::new(KeepTokens))
    };
    let builder = match method {
        Method::LongVu => builder.max_len(window),
        // Frames that would not fit are thinned out evenly, as they are without any stage.
        Method::TemporalQuery => {
            let builder = builder.max_len(window).temporal_stage(Arc::new(temporal(low, false)));
            builder.spatial_stage(Arc::new(KeepTokens))
        }
        Method::Temporal => {
            let builder = builder.max_len(window).config_value("highres", false);
            builder.temporal_stage(Arc::new(temporal(full, true))).spatial_stage(Arc::new(KeepTokens))
        }
        Method::Uniform => keep(builder.max_len(window).config_value("highres", false), full),
        Method::Random => keep(builder.max_len(window).config_value("highres", false), usize::MAX),
        Method::Downsampled => keep(builder.max_len(window), low).query_stage(Arc::new(ScoreNothing)),
        Method::Bolt | Method::Aks | Method::Mmr | Method::KCenter => {
            let builder = keep(builder.max_len(window), usize::MAX);
            builder.named_stage(StageName::QueryGuided, method.name().parse()?)
        }
        Method::Dycoke
        | Method::Evs
        | Method::Vidcom2
        | Method::Divprune
        | Method::Fastvid
        | Method::Holitom
        | Method::Visionzip => {
            let builder = builder.max_len(window);
            let builder = builder.temporal_stage(Arc::new(KeepFrames::new(usize::MAX)));
            builder.named_stage(StageName::Spatial, method.name().parse::<StageSpec>()?.fitting())
        }
        Method::Fastv => {
            let builder = keep(builder.max_len(UNLIMITED).config_value("highres", false), usize::MAX);
            builder.named_stage(StageName::Decoder, method.name().parse()?)
        }
        Method::Everything => keep(builder.max_len(UNLIMITED).config_value("highres", false), usize::MAX),
    };
    Ok(builder.load()?)
}

/// A window that no video here fills.
const UNLIMITED: usize = 1 << 20;
