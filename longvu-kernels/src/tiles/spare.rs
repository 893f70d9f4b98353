//! Memory for activations that are lined up, kept from one product to the next: to fill it with zeros, on one thread, takes a
//! hundredth of a product.

use std::sync::{Mutex, PoisonError};

/// What the last product left, some 24 MB at most.
static SPARE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Words of any values.
pub(super) fn take() -> Vec<u32> {
    core::mem::take(&mut SPARE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Leaves words for the next product; of several products at a time, those of one are kept.
pub(super) fn leave(words: Vec<u32>) {
    *SPARE.lock().unwrap_or_else(PoisonError::into_inner) = words;
}
