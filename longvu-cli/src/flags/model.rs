//! Which model, and how it is run.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, builder::NonEmptyStringValueParser};
use longvu::{
    Dtype, Quantize, WeightFormat,
    compress::{BadStageSpec, StageSpec},
};

use super::{repeats::RepeatArgs, stages::StageArgs, usage::finite};

/// Which model, and where its parts are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct PlaceArgs {
    /// Model folder, or a Hub id such as Vision-CAIR/LongVU_Qwen2_7B [default: the small one that is built in]
    #[arg(short, long, env = "LONGVU_MODEL", hide_env_values = true, value_parser = NonEmptyStringValueParser::new())]
    pub model: Option<String>,

    /// Folder that holds the vision towers' folders [default: in or beside the model, else the Hub]
    #[arg(long, value_name = "DIR")]
    pub towers: Option<PathBuf>,

    /// Branch, tag or commit of a model on the Hub
    #[arg(long, value_name = "REV", value_parser = NonEmptyStringValueParser::new())]
    pub revision: Option<String>,
}

/// What a model's memory depends on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ComputeArgs {
    /// Where to compute: cpu, cuda:0, vulkan:0, … as `longvu devices` lists them [default: cpu]
    #[arg(short, long)]
    pub device: Option<String>,

    /// Number type of weights, and of products where the device has it: f32, f16 or bf16
    #[arg(long, default_value_t = Dtype::F32)]
    pub dtype: Dtype,

    /// Hold and multiply linear layers in integers, less exact, smaller and faster: int8 or int4
    #[arg(long, value_name = "BITS")]
    pub quantize: Option<Quantize>,

    /// Longest prompt in tokens, video included, instead of the model's
    #[arg(long, value_name = "N")]
    pub max_len: Option<NonZeroUsize>,

    /// Frames that go through a tower at once [default: 1 on the CPU, 8 elsewhere]
    #[arg(long, value_name = "N")]
    pub tower_batch: Option<NonZeroUsize>,
}

impl ComputeArgs {
    /// What weights are held in.
    pub fn weights(&self) -> WeightFormat {
        WeightFormat::from(self.dtype).with_quantize(self.quantize)
    }
}

/// Which model, and how it is run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    #[command(flatten)]
    pub compute: ComputeArgs,

    /// Similarity from which the temporal stage drops a frame, instead of the preset's
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = finite)]
    pub dino_threshold: Option<f64>,

    /// Similarity from which the spatial stage drops a token, instead of the preset's
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = finite)]
    pub drop_threshold: Option<f64>,

    /// Read weights instead of mapping them: slower, and safe when the files may change while the program runs
    #[arg(long)]
    pub no_mmap: bool,

    /// Frames of a long video that wait in memory until it is known which are kept, the others on disk [default: 16]
    #[arg(long, value_name = "N")]
    pub waiting_frames: Option<usize>,

    #[command(flatten)]
    pub repeats: RepeatArgs,

    #[command(flatten)]
    pub stages: StageArgs,

    /// What goes on between the language model's layers: fastv, or fastv:k=2,r=0.5 [default: none]
    #[arg(long, value_name = "NAME[:K=V,…]", value_parser = decoder, hide_short_help = true, help_heading = "Stages")]
    pub decoder: Option<StageSpec>,
}

fn decoder(text: &str) -> Result<StageSpec, BadStageSpec> {
    let spec: StageSpec = text.parse()?;
    spec.decoder().map(|_| spec)
}
