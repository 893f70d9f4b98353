//! What a run is told: which model, by which recipe, where, and with what.

use std::{path::PathBuf, sync::Arc, time::Duration};

use longvu_core::{Device, Dtype, Watch};

use crate::{
    Recipe, SampleSource, TrainProgress,
    trainer::{CHECKPOINT_EVERY, OnProgress},
};

/// Where a run's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// Drawn from the recipe's seed; the model is a folder of configurations.
    Scratch,
    /// The model's own.
    Pretrained,
}

/// What to train and how.
#[derive(Clone)]
#[non_exhaustive]
pub struct TrainingRun {
    /// A model, or for [`Start::Scratch`] a folder of configurations.
    pub model: PathBuf,
    /// Folder of the towers, if they are not beside the model or on the Hub.
    pub towers: Option<PathBuf>,
    /// Branch, tag or commit of a model on the Hub; `main` when absent.
    pub revision: Option<String>,
    /// Where weights come from.
    pub start: Start,
    /// The recipe.
    pub recipe: Recipe,
    /// Training and held-out data of the language stage, instead of the world.
    pub data: Option<[Arc<dyn SampleSource>; 2]>,
    /// Folder of the run: checkpoints, the log, and the finished `model`.
    pub folder: PathBuf,
    /// The dtype that the finished model is stored in.
    pub dtype: Dtype,
    /// The device, without gradients.
    pub device: Device,
    /// Threads; as many as cores unless set.
    pub workers: Option<usize>,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Told what is logged: losses, and how the model does on held-out data.
    pub on_progress: Arc<OnProgress>,
    /// Who hears of downloads, and of every step as [`Step::Train`](longvu_core::Step::Train), and may stop the run: it
    /// writes a checkpoint then, from which the same run goes on another time.
    pub watch: Watch,
}

impl TrainingRun {
    /// Trains the weights of `model` by `recipe` in `folder`: on the drawn world, stored in f32, on the device that models run
    /// on unless told otherwise, with all cores, and a checkpoint every five minutes.
    pub fn new(model: impl Into<PathBuf>, recipe: Recipe, folder: impl Into<PathBuf>) -> Self {
        Self {
            model: model.into(),
            towers: None,
            revision: None,
            start: Start::Pretrained,
            recipe,
            data: None,
            folder: folder.into(),
            dtype: Dtype::F32,
            device: longvu::default_device(),
            workers: None,
            checkpoint_every: CHECKPOINT_EVERY,
            on_progress: Arc::new(|_| {}),
            watch: Watch::default(),
        }
    }

    /// Sets [`towers`](Self::towers).
    #[must_use]
    pub fn with_towers(mut self, towers: impl Into<Option<PathBuf>>) -> Self {
        self.towers = towers.into();
        self
    }

    /// Sets [`revision`](Self::revision).
    #[must_use]
    pub fn with_revision(mut self, revision: impl Into<Option<String>>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Sets [`start`](Self::start).
    #[must_use]
    pub fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets [`data`](Self::data).
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Option<[Arc<dyn SampleSource>; 2]>>) -> Self {
        self.data = data.into();
        self
    }

    /// Sets [`dtype`](Self::dtype).
    #[must_use]
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Sets [`device`](Self::device).
    #[must_use]
    pub fn with_device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Sets [`workers`](Self::workers).
    #[must_use]
    pub fn with_workers(mut self, workers: impl Into<Option<usize>>) -> Self {
        self.workers = workers.into();
        self
    }

    /// Sets [`checkpoint_every`](Self::checkpoint_every).
    #[must_use]
    pub fn with_checkpoint_every(mut self, checkpoint_every: Duration) -> Self {
        self.checkpoint_every = checkpoint_every;
        self
    }

    /// Sets [`on_progress`](Self::on_progress).
    #[must_use]
    pub fn with_on_progress(mut self, on_progress: impl Fn(&TrainProgress) + Send + Sync + 'static) -> Self {
        self.on_progress = Arc::new(on_progress);
        self
    }

    /// Sets [`watch`](Self::watch).
    #[must_use]
    pub fn with_watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }
}
