//! A model: finding and checking its files, loading it, and keeping its parts in memory while they are needed.

pub(crate) mod budget;
pub(crate) mod builder;
pub(crate) mod counters;
pub(crate) mod files;
pub(crate) mod inspect;
mod load;
pub(crate) mod longvu;
#[cfg(feature = "miniature")]
pub(crate) mod miniature;
pub(crate) mod parts;
pub(crate) mod residency;
pub(crate) mod stages;
pub(crate) mod synth;
pub(crate) mod towers;
