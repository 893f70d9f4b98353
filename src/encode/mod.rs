//! From frames to an encoded video: decode, DINOv2, temporal stage, SigLIP, aggregator.

pub(crate) mod clip;
pub(crate) mod encoder;
pub(crate) mod gathered;
pub(crate) mod groups;
pub(crate) mod prefetch;
pub(crate) mod repeats;
pub(crate) mod spill;
pub(crate) mod waiting;
