//! What to train on: the drawn world, or files.

mod json;
mod world;

pub use json::{Media, Record, read_records};
pub(crate) use world::is_share;
pub use world::{VideoGroup, WorldMix, WorldSample, WorldStream};
