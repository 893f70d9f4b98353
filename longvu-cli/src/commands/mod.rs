//! One file a command: its flags, what it does, and what it prints.

#[cfg(feature = "train")]
pub mod accuracy;
pub mod ask;
pub mod batch;
pub mod chat;
pub mod compress;
#[cfg(feature = "train")]
pub mod demo;
pub mod devices;
pub mod doctor;
pub mod encode;
pub mod eval;
pub mod explain;
pub mod features;
pub mod formats;
pub mod inspect;
pub mod plan;
pub mod probe;
#[cfg(feature = "serve")]
pub mod serve;
pub mod stages;
pub mod synth;
#[cfg(feature = "train")]
pub mod train;
