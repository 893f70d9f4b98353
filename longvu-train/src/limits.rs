//! What is too large for training to take on.

/// Longest file of training data, in bytes; the published stages' are a tenth of it. Of a longer one `.jsonl` parts can be
/// made.
pub(crate) const DATA_BYTES: u64 = 1 << 30;

/// Longest recipe, in bytes: the built-in model's has a few thousand.
pub(crate) const RECIPE_BYTES: u64 = 1 << 20;

/// Most optimizer steps: at a thousand a second they take twelve days.
pub(crate) const STEPS: usize = 1 << 30;

/// Most samples of a group, and groups of a step. The published stages have 256 samples in a step.
pub(crate) const GROUP: usize = 1 << 16;

/// Most videos that a tokenizer is trained on.
pub(crate) const TOKENIZER_VIDEOS: usize = 1 << 22;

/// Most threads of a run: more than any machine has cores.
pub(crate) const WORKERS: usize = 1 << 12;
