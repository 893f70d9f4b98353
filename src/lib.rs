#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod debug;
mod encode;
mod encoded;
mod error;
mod features;
mod model;
pub mod plan;
mod threads;

pub use burn;
pub use longvu_checkpoint as checkpoint;
pub use longvu_compress as compress;
#[doc(no_inline)]
pub use longvu_core::{ops, text};
pub use longvu_llm as llm;
#[cfg(feature = "video")]
pub use longvu_video as video;
pub use longvu_vision as vision;

pub use answer::batch::{AnswerBatch, BatchEvent, BatchId};
pub use answer::chat::{Chat, ChatStream};
pub use answer::explanation::{Explanation, FrameFate, FrameUse, TokenGrid, VisualExplanation, WindowUse};
pub use answer::inputs::PreparedPrompt;
#[doc(hidden)]
pub use answer::projected::ProjectedFrames;
pub use answer::prompt_cache::PromptCache;
pub use answer::pruned::DecoderReport;
pub use answer::stream::{Answer, AnswerStream, AnswerTimings};
pub use compress::Preset;
pub use encode::clip::{Clip, Frame, IntoClip, VisualKind};
pub use encode::repeats::Repeats;
pub use encoded::video::{EncodeTimings, EncodedVideo, FrameInfo, TowerFrames};
pub use error::{Error, Result};
pub use features::{FeatureKind, read::FeatureFile, write::SavedFeatures};
pub use llm::{FinishReason, GenerationConfig};
pub use longvu_core::{
    Cancelled, Device, Dtype, ErrorKind, Progress, Quantize, Step, Watch, WeightFormat, available_devices,
    parse_device, tune_allocator,
};
#[doc(hidden)]
pub use longvu_core::{adapter_name, is_cpu};
#[doc(hidden)]
pub use model::budget::{budget, text_lengths};
pub use model::builder::LongVuBuilder;
pub use model::counters::WorkCounters;
pub use model::files::ModelFiles;
#[doc(hidden)]
pub use model::files::TEXT_FILES;
pub use model::inspect::{Inspection, PartSize, inspect};
pub use model::longvu::LongVu;
#[cfg(feature = "miniature")]
pub use model::miniature::miniature_folder;
pub use model::residency::Residency;
pub use model::stages::StageSettings;
pub use model::synth::synthesize;
pub use model::towers::TowerFiles;
pub use plan::memory::{available_memory, peak_memory};
pub use plan::{MemoryPlan, Workload};
#[cfg(feature = "video")]
pub use video::{Sampling, Video, VideoOptions, open_image};

/// The device that models run on unless told otherwise: the CPU where the build has it.
pub fn default_device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}
