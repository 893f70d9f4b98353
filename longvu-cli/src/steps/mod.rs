//! What several commands do on their way: fit into memory, load a model, open a file, answer a question, say with which settings.

pub mod answer;
pub mod described;
pub mod given;
pub mod identity;
pub mod memory;
pub mod model;
pub mod source;
