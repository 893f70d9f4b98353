//! Training of the connector and the language model on questions and answers, towers frozen, compression active.

mod objective;
mod sample;
mod sequence;
mod sources;
mod tokens;
mod towers;

pub use objective::LanguageObjective;
pub use sample::{Sample, SampleSource};
pub use sources::{FileSource, WorldSource, draw_frames};
pub use tokens::{Dialogue, tokenize_dialogue};
pub use towers::FrozenTowers;
