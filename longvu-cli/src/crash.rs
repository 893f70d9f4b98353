//! Panics of the libraries below, a GPU that runs out of memory for one, as ordinary errors.

use std::{
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Mutex,
};

use anyhow::Result;

/// What panicked on any thread; usually one, or one with those that waited for it.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs `work`; a panic in it becomes an error that names its place.
///
/// # Errors
/// The work's own, and its panic.
pub fn guard(work: impl FnOnce() -> Result<()>) -> Result<()> {
    panic::set_hook(Box::new(record));
    // What the work touched is gone after this: the program ends.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    drop(panic::take_hook());
    outcome.unwrap_or_else(|_| {
        let panics = PANICS.lock().map(|panics| panics.join("; ")).unwrap_or_default();
        anyhow::bail!(
            "the computation broke down: {panics}; if the device ran out of memory, sample fewer frames or use a \
             smaller dtype, else please report this with the command that led to it"
        )
    })
}

/// Runs `work` and goes on after a panic in it; called within [`guard`].
///
/// # Errors
/// What panicked.
pub fn caught<T>(work: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let taken = || std::mem::take(&mut *PANICS.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    // Others may have been caught elsewhere.
    taken();
    // What it touched is not used again but by others of its kind, which make operands of their own.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| match taken() {
        panics if panics.is_empty() => "it panicked".to_owned(),
        panics => panics.join("; "),
    })
}

fn record(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::debug!(place, "panic: {message}");
    if let Ok(mut panics) = PANICS.lock() {
        panics.push(format!("{message} (at {place})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guard(|| panic!("out of memory, say")).unwrap_err().to_string();
        assert!(error.contains("out of memory, say") && error.contains("crash.rs"), "{error}");
    }
}
