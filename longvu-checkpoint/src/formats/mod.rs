//! The files that weights are kept in: safetensors and PyTorch pickles.

pub(crate) mod convert;
pub(crate) mod header;
pub(crate) mod mapped;
pub(crate) mod names;
pub(crate) mod pickle;
mod pickle_scan;
pub(crate) mod safetensors;
pub(crate) mod writer;
