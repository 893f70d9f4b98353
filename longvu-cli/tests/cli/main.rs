//! The built program, run as its users run it, on the small golden checkpoints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ask;
mod bad_model;
mod bad_video;
mod batch;
mod batch_parts;
mod chat;
mod doctor;
mod encode;
mod eval;
mod explain;
mod features;
mod killed;
mod memory;
mod miniature;
mod report;
mod sheet;
mod support;
mod tools;
mod train;
mod usage;
mod window;
