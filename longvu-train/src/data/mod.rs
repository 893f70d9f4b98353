//! What to train on: the drawn world, or files.

mod json;
mod world;

pub use json::{Media, Record, read_records};
pub use world::{VideoGroup, WorldMix, WorldSample, WorldStream};
