//! The loop that every stage of training shares: batches, gradients, steps, checkpoints, resumption.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use burn::tensor::Tensor;
use longvu_checkpoint::{Checkpoint, Repo, TensorLookup, TensorSpec};
use longvu_core::{Step, Watch};
use serde::{Deserialize, Serialize};

use crate::{
    AdamWSettings, Error, MuonSettings, Parameters, Result, Workers,
    checkpoint::{load_state, save_state},
    limits::{GROUP, STEPS},
    log::{LogLine, TrainingLog},
    parameters::{NamedGradients, accumulate},
    schedule::Schedule,
};

/// How long and how fast a stage trains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StageSettings {
    /// Optimizer steps.
    pub steps: usize,
    /// Samples whose gradients are computed together.
    pub micro_batch: usize,
    /// Such groups in a step; their gradients are added up.
    pub accumulation: usize,
    /// Greatest learning rate, reached after `warmup` steps.
    pub lr: f64,
    /// Least learning rate, as a share of the greatest, which the cosine ends at.
    #[serde(default = "floor")]
    pub lr_floor: f64,
    /// Steps of linear warm-up.
    #[serde(default)]
    pub warmup: usize,
    /// The optimizer.
    #[serde(default)]
    pub adamw: AdamWSettings,
    /// The optimizer of matrices, if they have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonSettings>,
    /// Steps between validations.
    #[serde(default = "often")]
    pub validate_every: usize,
}

fn floor() -> f64 {
    0.05
}
fn often() -> usize {
    500
}

impl StageSettings {
    /// So many steps of one sample each, at this learning rate at most; AdamW alone.
    pub fn new(steps: usize, lr: f64) -> Self {
        Self {
            steps,
            micro_batch: 1,
            accumulation: 1,
            lr,
            lr_floor: floor(),
            warmup: 0,
            adamw: AdamWSettings::default(),
            muon: None,
            validate_every: often(),
        }
    }

    /// Sets [`micro_batch`](Self::micro_batch).
    #[must_use]
    pub fn with_micro_batch(mut self, micro_batch: usize) -> Self {
        self.micro_batch = micro_batch;
        self
    }

    /// Sets [`accumulation`](Self::accumulation).
    #[must_use]
    pub fn with_accumulation(mut self, accumulation: usize) -> Self {
        self.accumulation = accumulation;
        self
    }

    /// Sets [`lr`](Self::lr).
    #[must_use]
    pub fn with_lr(mut self, lr: f64) -> Self {
        self.lr = lr;
        self
    }

    /// Sets [`lr_floor`](Self::lr_floor).
    #[must_use]
    pub fn with_lr_floor(mut self, lr_floor: f64) -> Self {
        self.lr_floor = lr_floor;
        self
    }

    /// Sets [`warmup`](Self::warmup).
    #[must_use]
    pub fn with_warmup(mut self, warmup: usize) -> Self {
        self.warmup = warmup;
        self
    }

    /// Sets [`adamw`](Self::adamw).
    #[must_use]
    pub fn with_adamw(mut self, adamw: AdamWSettings) -> Self {
        self.adamw = adamw;
        self
    }

    /// Sets [`muon`](Self::muon).
    #[must_use]
    pub fn with_muon(mut self, muon: impl Into<Option<MuonSettings>>) -> Self {
        self.muon = muon.into();
        self
    }

    /// Sets [`validate_every`](Self::validate_every).
    #[must_use]
    pub fn with_validate_every(mut self, validate_every: usize) -> Self {
        self.validate_every = validate_every;
        self
    }

    fn schedule(&self) -> Schedule {
        Schedule { peak: self.lr, warmup: self.warmup, total: self.steps, floor: self.lr * self.lr_floor }
    }

    /// Checks what would make no sense.
    ///
    /// # Errors
    /// [`Error::Setting`] with the name of the setting.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("steps", self.steps, STEPS, "from 1 to 1,073,741,824"),
            ("micro_batch", self.micro_batch, GROUP, "from 1 to 65,536"),
            ("accumulation", self.accumulation, GROUP, "from 1 to 65,536"),
        ];
        match counts.into_iter().find(|(_, value, most, _)| !(1..=*most).contains(value)) {
            Some((name, value, _, expected)) => Err(Error::Setting { name, value: value.to_string(), expected }),
            None if !(self.lr > 0.0 && self.lr.is_finite()) => {
                Err(Error::Setting { name: "lr", value: self.lr.to_string(), expected: "a positive number" })
            }
            None if !(0.0..=1.0).contains(&self.lr_floor) => {
                let value = self.lr_floor.to_string();
                Err(Error::Setting { name: "lr_floor", value, expected: "a share of `lr`, from 0 to 1" })
            }
            None => Ok(()),
        }
    }
}

/// What a group of samples contributes to a step.
#[non_exhaustive]
pub struct Loss {
    /// The sum over what counts, `[1]`, on the graph of gradients.
    pub sum: Tensor<1>,
    /// How much counts: the number of answer tokens, say. A step's loss is all sums over all weights.
    pub weight: f64,
}

impl Loss {
    /// The sum over what counts, and how much does.
    pub fn new(sum: Tensor<1>, weight: f64) -> Self {
        Self { sum, weight }
    }
}

/// Something to train: which tensors, on what, to what end.
pub trait Objective: Sync {
    /// Name of the stage, for files and logs.
    fn name(&self) -> &str;

    /// All that the loss depends on beside parameters and index: a run is resumed only with the same.
    fn description(&self) -> String;

    /// The layout of all tensors.
    fn specs(&self) -> Vec<TensorSpec>;

    /// The loss of group `index`, a function of it and of the parameters alone.
    ///
    /// # Errors
    /// Data that cannot be read.
    fn loss(&self, parameters: Arc<TensorLookup>, index: u64) -> Result<Loss>;

    /// Measures on held-out data, by name.
    ///
    /// # Errors
    /// As [`Objective::loss`].
    fn validate(&self, parameters: &Parameters, workers: &Workers) -> Result<BTreeMap<String, f64>>;
}

/// What to say while training.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainProgress {
    /// The stage.
    pub stage: String,
    /// Steps done, and to do in all.
    pub step: usize,
    /// Of the stage.
    pub steps: usize,
    /// Mean loss since the last line.
    pub loss: f64,
    /// Time left at the speed so far.
    pub left: Duration,
    /// Of the last validation, if this step had one.
    pub validation: BTreeMap<String, f64>,
}

/// Who is told of what is logged.
pub(crate) type OnProgress = dyn Fn(&TrainProgress) + Send + Sync;

/// Runs stages in a folder that holds their checkpoints and the log.
#[non_exhaustive]
pub struct Trainer<'a> {
    /// Folder of the run.
    pub folder: PathBuf,
    /// Who computes.
    pub workers: &'a Workers,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Told what is logged.
    pub on_progress: Arc<OnProgress>,
    /// Hears of every step, and may stop training, which writes a checkpoint then.
    pub watch: Watch,
}

/// Time between checkpoints, unless set.
pub(crate) const CHECKPOINT_EVERY: Duration = Duration::from_secs(300);

/// Steps between lines of the log.
const LOG_EVERY: usize = 10;

impl<'a> Trainer<'a> {
    /// A trainer that works in `folder`, writes a checkpoint every five minutes, tells nobody, and stops at the end.
    pub fn new(folder: PathBuf, workers: &'a Workers) -> Self {
        let on_progress = Arc::new(|_: &TrainProgress| {});
        Self { folder, workers, checkpoint_every: CHECKPOINT_EVERY, on_progress, watch: Watch::default() }
    }

    /// Trains `objective` from where the folder's last checkpoint left it, or from `parameters`; returns the trained ones.
    ///
    /// # Errors
    /// Data, checkpoints and logs that cannot be read or written, losses that are no numbers, and
    /// [`Error::Cancelled`] when the watcher stops it before the end.
    pub fn run(
        &self,
        objective: &dyn Objective,
        settings: &StageSettings,
        mut parameters: Parameters,
    ) -> Result<Parameters> {
        settings.validate()?;
        let name = objective.name();
        let identity = format!("{} {}", serde_json::to_string(settings).unwrap_or_default(), objective.description());
        let saved = load_state(&self.folder, name)?;
        let mut step = 0;
        if let Some(saved) = saved {
            saved.check(&identity, &self.folder)?;
            parameters.restore(&open(&saved.weights)?, saved.step)?;
            step = saved.step;
        }
        let mut log = TrainingLog::open(&self.folder.join("log.jsonl"), name, step)?;
        let mut clock = Clock::new(step);
        let watched = self.watch.step(Step::Train, name, Some(settings.steps as u64));
        while step < settings.steps {
            let (loss, norm) = self.step(objective, settings, &mut parameters, step)?;
            step += 1;
            clock.add(loss);
            let is_last = step == settings.steps;
            let validation = if step.is_multiple_of(settings.validate_every.max(1)) || is_last {
                objective.validate(&parameters, self.workers)?
            } else {
                BTreeMap::new()
            };
            if step.is_multiple_of(LOG_EVERY) || !validation.is_empty() {
                let line = LogLine {
                    step,
                    stage: name.into(),
                    loss: clock.mean_loss(),
                    lr: settings.schedule().at(step - 1),
                    grad_norm: norm,
                    samples: (step * settings.micro_batch * settings.accumulation) as u64,
                    seconds: log.seconds_before + clock.seconds(),
                    validation,
                };
                log.append(&line)?;
                self.tell(line, settings.steps, clock.left(step, settings.steps));
            }
            let watched = watched.done(step as u64);
            if is_last || watched.is_err() || clock.since_checkpoint() > self.checkpoint_every {
                save_state(&self.folder, name, step, &identity, &parameters)?;
                clock.checkpointed();
            }
            if !is_last {
                watched?;
            }
        }
        Ok(parameters)
    }

    /// Says what was logged.
    fn tell(&self, line: LogLine, steps: usize, left: Duration) {
        let LogLine { stage, step, loss, validation, .. } = line;
        (self.on_progress)(&TrainProgress { stage, step, steps, loss, left, validation });
    }

    /// One optimizer step; the loss and the norm of its gradients.
    fn step(
        &self,
        objective: &dyn Objective,
        settings: &StageSettings,
        parameters: &mut Parameters,
        step: usize,
    ) -> Result<(f64, f64)> {
        let groups = settings.accumulation as u64;
        let indices = (step as u64 * groups..(step as u64 + 1) * groups).collect();
        let values = &*parameters;
        let parts = self.workers.map(indices, |index| gradients(objective, values, index))?;
        let (mut sum, mut weight, mut grads) = (0.0, 0.0, NamedGradients::new());
        for part in parts {
            sum += part.0;
            weight += part.1;
            accumulate(&mut grads, part.2);
        }
        let weight = weight.max(1e-12);
        let norm = parameters.step(grads, 1.0 / weight, settings.schedule().at(step), settings);
        if !norm.is_finite() || !sum.is_finite() {
            return Err(Error::Diverged { stage: objective.name().into(), step: step + 1 });
        }
        Ok((sum / weight, norm))
    }
}

/// Loss, weight and gradients of one group.
fn gradients(objective: &dyn Objective, parameters: &Parameters, index: u64) -> Result<(f64, f64, NamedGradients)> {
    let leaves = parameters.leaves();
    let Loss { sum, weight } = objective.loss(leaves.lookup(), index)?;
    let value = f64::from(sum.clone().into_scalar::<f32>());
    let mut grads = sum.backward();
    Ok((value, weight, leaves.take_gradients(&mut grads)))
}

fn open(weights: &Path) -> Result<Checkpoint> {
    Ok(Checkpoint::open(&Repo::folder(weights))?)
}

/// Time and losses since the last line and checkpoint.
struct Clock {
    start: Instant,
    first_step: usize,
    checkpoint: Instant,
    losses: Vec<f64>,
}

impl Clock {
    fn new(first_step: usize) -> Self {
        Self { start: Instant::now(), first_step, checkpoint: Instant::now(), losses: Vec::new() }
    }

    fn add(&mut self, loss: f64) {
        self.losses.push(loss);
    }

    fn mean_loss(&mut self) -> f64 {
        let count = self.losses.len().max(1) as f64;
        std::mem::take(&mut self.losses).into_iter().sum::<f64>() / count
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn left(&self, step: usize, steps: usize) -> Duration {
        let done = step.saturating_sub(self.first_step).max(1) as f64;
        self.start.elapsed().mul_f64(steps.saturating_sub(step) as f64 / done)
    }

    fn since_checkpoint(&self) -> Duration {
        self.checkpoint.elapsed()
    }

    fn checkpointed(&mut self) {
        self.checkpoint = Instant::now();
    }
}
