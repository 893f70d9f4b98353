//! Checkpoints on disk: every layout and element type, damaged files, and files written here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod formats;
mod hostile;
mod memory;
mod pickle;
mod support;
mod synthetic;
mod wrapped;
mod writer;
