//! Questions and answers: the prompt with its visual tokens, the answer as a stream, several of them together, conversations, and how an answer came about.

pub(crate) mod batch;
pub(crate) mod chat;
mod check;
pub(crate) mod explanation;
pub(crate) mod inputs;
pub(crate) mod projected;
pub(crate) mod prompt_cache;
pub(crate) mod pruned;
pub(crate) mod shares;
pub(crate) mod stream;
