#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod answer;
mod builder;
mod chat;
mod counters;
mod encode;
mod encoded;
mod encoded_file;
mod encoded_reader;
mod encoding_settings;
mod error;
mod fingerprint;
mod frames;
mod gathered;
mod inputs;
mod inspect;
mod limits;
mod memory;
#[cfg(feature = "miniature")]
mod miniature;
mod model;
mod model_files;
mod part;
pub mod plan;
mod prefetch;
mod projected;
mod prompt_cache;
mod shares;
mod spill;
mod synth;
mod threads;
mod towers;
mod waiting;

pub use longvu_compress as compress;
pub use longvu_core as core;
pub use longvu_llm as llm;
#[cfg(feature = "video")]
pub use longvu_video as video;
pub use longvu_vision as vision;

pub use answer::{Answer, AnswerStream, AnswerTimings};
pub use builder::LongVuBuilder;
pub use chat::{Chat, ChatStream};
pub use compress::Preset;
pub use core::{Device, Dtype, Quantize, available_devices, parse_device};
pub use counters::WorkCounters;
pub use encode::EncodeProgress;
pub use encoded::{EncodeTimings, EncodedVideo, FrameInfo};
pub use error::{Error, Result};
pub use frames::{Clip, Frame, IntoClip, VisualKind};
pub use inputs::PreparedPrompt;
pub use inspect::{Inspection, PartSize, inspect};
pub use llm::{FinishReason, GenerationConfig};
pub use memory::{available_memory, peak_memory};
#[cfg(feature = "miniature")]
pub use miniature::miniature_folder;
pub use model::LongVu;
pub use model_files::{ModelFiles, TEXT_FILES};
pub use part::Residency;
pub use plan::{MemoryPlan, Workload};
pub use projected::ProjectedFrames;
pub use prompt_cache::PromptCache;
pub use synth::{SynthProgress, synthesize};
pub use towers::TowerFiles;
#[cfg(feature = "video")]
pub use video::{Sampling, Video, VideoOptions, open_image};

/// The device that models run on unless told otherwise: the CPU where the build has it.
pub fn default_device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}
