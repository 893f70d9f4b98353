//! Encoded videos, in memory and in files, and what they were encoded with.

pub(crate) mod file;
pub(crate) mod fingerprint;
mod key;
pub(crate) mod limits;
pub(crate) mod reader;
pub(crate) mod settings;
pub(crate) mod video;
