//! Watching what takes long, and stopping it.
//!
//! Everything long tells a [`Watch`] how far it has come: at each file and tensor, each batch of frames, each chunk of a
//! prompt through a layer, each token, each step of training. The answer says whether it goes on. There is no other way to
//! stop something, and what has been stopped ends with [`Cancelled`] and leaves nothing behind but what the next attempt
//! goes on from: the part of a download that is there, and a training run's last checkpoint.

use std::{fmt, ops::ControlFlow, sync::Arc};
use web_time::Instant;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Fetching a file, in bytes.
    Download,
    /// Reading a part of a model, in tensors.
    Load,
    /// Writing weights, in bytes.
    Write,
    /// DINOv2 and the temporal stage, in sampled frames.
    Look,
    /// SigLIP and the aggregator, in kept frames; told once all frames were looked at.
    Aggregate,
    /// The projector, and stages 2 and 3 as far as frames go through it piece by piece, in frames.
    Project,
    /// The language model reads the prompt, in positions, each counted in parts of all layers.
    Prompt,
    /// The language model writes the answer, in tokens.
    Answer,
    /// A stage of a training run, in steps of its optimiser.
    Train,
}

impl Step {
    /// The step in one word, the same in every version: `download`, `load`, and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Load => "load",
            Self::Write => "write",
            Self::Look => "look",
            Self::Aggregate => "aggregate",
            Self::Project => "project",
            Self::Prompt => "prompt",
            Self::Answer => "answer",
            Self::Train => "train",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far something has come.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// What is being done.
    pub step: Step,
    /// To what: the name of a file or of a part of the model; empty where there is but one.
    pub item: &'a str,
    /// How much is done, in the step's unit.
    pub done: u64,
    /// Of how much, where that is known.
    pub total: Option<u64>,
    /// Seconds since this step began.
    pub seconds: f64,
}

/// The watcher said to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was stopped before its end")]
pub struct Cancelled;

/// What is told of progress: called from the threads that work, so briefly.
type Told = dyn Fn(&Progress<'_>) -> ControlFlow<()> + Send + Sync;

/// Who is told how far something has come, and says whether it goes on; nobody by default.
///
/// Clones share the watcher.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Told>>);

impl Watch {
    /// A watcher: `told` is called often, from whichever thread works, and should return soon.
    ///
    /// It may ask a model what is in memory, but not for a part that is being loaded: that waits for itself.
    pub fn new(told: impl Fn(&Progress<'_>) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    /// Tells of `progress`, for a watcher that asks another one, too; whether it goes on.
    pub fn tell(&self, progress: &Progress<'_>) -> ControlFlow<()> {
        self.0.as_ref().map_or(ControlFlow::Continue(()), |told| told(progress))
    }

    /// A step that begins now.
    #[doc(hidden)]
    pub fn step<'a>(&'a self, step: Step, item: &'a str, total: Option<u64>) -> WatchedStep<'a> {
        self.step_since(Instant::now(), step, item, total)
    }

    /// A step that began at `start`, for what cannot hold a [`WatchedStep`] from there on.
    #[doc(hidden)]
    pub fn step_since<'a>(&'a self, start: Instant, step: Step, item: &'a str, total: Option<u64>) -> WatchedStep<'a> {
        WatchedStep { watch: self, step, item, total, start }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch(..)" } else { "Watch" })
    }
}

/// One step of something watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchedStep<'a> {
    watch: &'a Watch,
    step: Step,
    item: &'a str,
    total: Option<u64>,
    start: Instant,
}

impl WatchedStep<'_> {
    /// Tells that `done` is done.
    ///
    /// # Errors
    /// [`Cancelled`] when the watcher wants no more.
    pub fn done(&self, done: u64) -> Result<(), Cancelled> {
        let Self { watch, step, item, total, start } = *self;
        if watch.0.is_none() {
            return Ok(());
        }
        match watch.tell(&Progress { step, item, done, total, seconds: start.elapsed().as_secs_f64() }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Cancelled),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_watcher_hears_of_every_step_and_stops_it() {
        Watch::default().step(Step::Load, "decoder", None).done(5).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        let watch = Watch::new(move |progress| {
            all.lock().unwrap().push((progress.step, progress.item.to_owned(), progress.done, progress.total));
            if progress.done < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let step = watch.step(Step::Load, "decoder", Some(3));
        step.done(1).unwrap();
        assert_eq!(step.done(2), Err(Cancelled));
        let of = |done| (Step::Load, "decoder".to_owned(), done, Some(3));
        assert_eq!(*heard.lock().unwrap(), [of(1), of(2)]);
    }
}
