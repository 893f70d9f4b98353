//! From a checkpoint's tensors to a model's parameters.
//!
//! A model is a plain struct whose constructor asks a [`Weights`] for each of its tensors by state-dict name and
//! shape. The constructor runs twice: once to declare what it needs, which is compared with what the checkpoint
//! has before a byte of data is read, and once to load, one tensor at a time. The declaration alone serves
//! size listings and the writing of synthetic checkpoints.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use burn::{
    module::{Param, ParamId},
    tensor::{Device, Tensor},
};
use longvu_core::{Dtype, Quantize, QuantizedMatrix, Step, Watch, WeightFormat};
use web_time::Instant;

use crate::{Error, LoadOptions, Result, error::Mismatch, nn::LinearWeight, source::TensorSource};

/// A tensor that a model's layout has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorSpec {
    /// State-dict name.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: TensorRole,
}

/// What a tensor of a layout is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TensorRole {
    /// The model computes with it.
    Parameter,
    /// Published files carry it, and nothing here uses it.
    Unused,
    /// Some files carry it, though they need not.
    Tolerated,
    /// A file that carries it was made for other sizes than the configuration's.
    Forbidden,
}

impl TensorSpec {
    /// The tensor `name` of a layout.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>, role: TensorRole) -> Self {
        Self { name: name.into(), shape: shape.into(), role }
    }

    /// Number of elements.
    ///
    /// The largest number there is where a shape, of a configuration that nobody checked, has more.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().fold(1, |product, &size| product.saturating_mul(size))
    }
}

/// What a load did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadReport {
    /// Number of parameters loaded.
    pub parameters: usize,
    /// Tensors of the part that the source has and the model does not know.
    pub unexpected: Vec<String>,
}

/// Finds a tensor by its state-dict name; all its elements in a row, `[elements]`.
pub type TensorLookup = dyn Fn(&str) -> Option<Tensor<1>> + Send + Sync;

enum Mode {
    Declare,
    /// Tensors that exist already, with their places on a graph of gradients.
    Build(Arc<TensorLookup>),
    Load {
        source: Arc<dyn TensorSource>,
        reading: Reading,
        device: Device,
        dtype: Dtype,
        quantize: Option<Quantize>,
    },
}

/// How far loading has come, and who is told.
struct Reading {
    watch: Watch,
    part: String,
    start: Instant,
    done: AtomicU64,
    total: u64,
}

impl Reading {
    /// Tells of one tensor more.
    fn tensor(&self) -> Result<()> {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(self.watch.step_since(self.start, Step::Load, &self.part, Some(self.total)).done(done)?)
    }
}

struct State {
    mode: Mode,
    specs: Mutex<Vec<TensorSpec>>,
    failure: Mutex<Option<Error>>,
}

/// A place in a checkpoint's tree of names, from which a module takes its tensors.
#[derive(Clone)]
pub struct Weights {
    state: Arc<State>,
    prefix: String,
}

impl Weights {
    fn new(mode: Mode) -> Self {
        let state = State { mode, specs: Mutex::default(), failure: Mutex::default() };
        Self { state: Arc::new(state), prefix: String::new() }
    }

    /// The place called `name` below this one.
    #[must_use]
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let prefix = if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) };
        Self { state: self.state.clone(), prefix }
    }

    /// The tensor `name` of `shape`, as a parameter in the dtype of activations.
    ///
    /// While declaring, and after a failed read, the parameter is an empty stand-in; [`load`] then returns no model.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Param<Tensor<D>> {
        let name = self.record(name, &shape, TensorRole::Parameter);
        Param::from_tensor(match &self.state.mode {
            Mode::Declare => Tensor::zeros([0; D], &stand_in_device()),
            Mode::Build(lookup) => return self.existing(lookup.as_ref(), &name, shape),
            Mode::Load { device, dtype, .. } => self.read(&name, shape, dtype.activations(device)),
        })
    }

    /// The matrix `name` of `shape`, as a parameter in the dtype that weights are held in.
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Param<Tensor<2>> {
        let name = self.record(name, &shape, TensorRole::Parameter);
        Param::from_tensor(match &self.state.mode {
            Mode::Declare => Tensor::zeros([0; 2], &stand_in_device()),
            Mode::Build(lookup) => return self.existing(lookup.as_ref(), &name, shape),
            Mode::Load { dtype, .. } => self.read(&name, shape, *dtype),
        })
    }

    /// A tensor of the caller's as a parameter, with the gradient it has.
    fn existing<const D: usize>(&self, lookup: &TensorLookup, name: &str, shape: [usize; D]) -> Param<Tensor<D>> {
        let found = lookup(name).filter(|tensor| tensor.dims()[0] == shape.iter().product::<usize>());
        let value = match found {
            Some(tensor) => tensor.reshape(shape),
            None => {
                let names = Mismatch {
                    origin: "the given tensors".into(),
                    missing: vec![name.to_owned()],
                    hint: format!("a tensor of this name and {shape:?} elements is needed"),
                    ..Mismatch::default()
                };
                self.fail(Error::Mismatch(Box::new(names)));
                Tensor::zeros([0; D], &stand_in_device())
            }
        };
        Param::initialized(ParamId::new(), value)
    }

    /// The weight `name` of a linear layer, `[d_output, d_input]`: a [`Weights::matrix`], or quantised if so asked.
    pub fn linear_weight(&self, name: &str, shape: [usize; 2]) -> LinearWeight {
        match &self.state.mode {
            Mode::Load { source, quantize: Some(quantize), .. } => {
                let name = self.record(name, &shape, TensorRole::Parameter);
                let read = || {
                    let data = source.read_as_stored(&name, &shape)?;
                    Ok(QuantizedMatrix::from_data(*quantize, &data, shape)?)
                };
                let nothing = || QuantizedMatrix::new(*quantize, &[], shape[1].max(1));
                LinearWeight::Quantized(self.attempt(read).unwrap_or_else(nothing))
            }
            _ => LinearWeight::Dense(self.matrix(name, shape)),
        }
    }

    /// Reads a tensor onto the device; an empty one if that fails.
    fn read<const D: usize>(&self, name: &str, shape: [usize; D], dtype: Dtype) -> Tensor<D> {
        let Mode::Load { source, device, .. } = &self.state.mode else {
            return Tensor::zeros([0; D], &stand_in_device());
        };
        let nothing = || burn::tensor::TensorData::new(Vec::<f32>::new(), [0; D]);
        let data = self.attempt(|| source.read(name, &shape, dtype)).unwrap_or_else(nothing);
        Tensor::from_data(data, (device, dtype.into()))
    }

    /// One tensor more, unless loading has failed or is to stop.
    fn attempt<T>(&self, read: impl FnOnce() -> Result<T>) -> Option<T> {
        if lock(&self.state.failure).is_some() {
            return None;
        }
        let Mode::Load { reading, .. } = &self.state.mode else { return None };
        let read = read().and_then(|value| reading.tensor().map(|()| value));
        read.map_err(|error| self.fail(error)).ok()
    }

    /// Notes why loading failed; the first reason counts.
    fn fail(&self, error: Error) {
        lock(&self.state.failure).get_or_insert(error);
    }

    /// Notes a tensor that published checkpoints carry here and that this implementation does not use.
    pub fn unused(&self, name: &str, shape: &[usize]) {
        self.record(name, shape, TensorRole::Unused);
    }

    /// Notes a tensor that some checkpoints carry here although it follows from others.
    pub fn tolerated(&self, name: &str, shape: &[usize]) {
        self.record(name, shape, TensorRole::Tolerated);
    }

    /// Notes a tensor that a checkpoint of the configured sizes cannot have.
    pub fn forbidden(&self, name: &str) {
        self.record(name, &[], TensorRole::Forbidden);
    }

    fn record(&self, name: &str, shape: &[usize], role: TensorRole) -> String {
        let name = if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) };
        lock(&self.state.specs).push(TensorSpec { name: name.clone(), shape: shape.to_vec(), role });
        name
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the empty stand-ins of a declaration live: a CPU backend when there is one, so that no GPU is touched.
fn stand_in_device() -> Device {
    #[cfg(feature = "flex")]
    return Device::flex();
    #[cfg(not(feature = "flex"))]
    Device::default()
}

/// The tensors that `build` asks for, without loading any.
pub fn declare<M>(build: impl FnOnce(&Weights) -> M) -> Vec<TensorSpec> {
    let weights = Weights::new(Mode::Declare);
    build(&weights);
    std::mem::take(&mut *lock(&weights.state.specs))
}

/// Checks `source` against what `build` needs, reading no data.
///
/// # Errors
/// [`Error::Mismatch`] with every missing and mis-shaped tensor.
pub fn check<M>(source: &dyn TensorSource, options: &LoadOptions, build: impl FnOnce(&Weights) -> M) -> Result<()> {
    compare(source, options, &declare(build)).map(drop)
}

/// Checks `source` against what `build` needs, then builds the model from it.
///
/// # Errors
/// [`Error::Mismatch`] with every missing and mis-shaped tensor, before any data is read; read errors of the source;
/// [`Error::Cancelled`] when the options' watcher says to stop.
pub fn load<M>(
    source: Arc<dyn TensorSource>,
    options: &LoadOptions,
    build: impl Fn(&Weights) -> M,
) -> Result<(M, LoadReport)> {
    options.weights.check_supported(&options.device)?;
    let specs = declare(&build);
    let unexpected = compare(source.as_ref(), options, &specs)?;
    for name in unexpected.iter().take(HINTED) {
        tracing::warn!(part = options.part, tensor = name, "not used: the model has no such tensor");
    }
    if unexpected.len() > HINTED {
        let more = unexpected.len() - HINTED;
        tracing::warn!(part = options.part, more, "not used: the model has no such tensors");
    }
    let LoadOptions { device, weights: WeightFormat { dtype, quantize, .. }, watch, part, .. } = options.clone();
    let total = specs.iter().filter(|spec| spec.role == TensorRole::Parameter).count() as u64;
    let reading = Reading { watch, part, start: Instant::now(), done: AtomicU64::new(0), total };
    let mode = Mode::Load { source, reading, device, dtype, quantize };
    let weights = Weights::new(mode);
    let model = build(&weights);
    if let Some(error) = lock(&weights.state.failure).take() {
        return Err(error);
    }
    let parameters = specs.iter().filter(|s| s.role == TensorRole::Parameter).map(TensorSpec::num_elements).sum();
    Ok((model, LoadReport { parameters, unexpected }))
}

/// Builds a model of tensors that exist already; parameters keep their place on a graph of gradients.
///
/// Every call of the model's operations is then recorded, so that a loss gives gradients of the tensors looked up.
///
/// # Errors
/// [`Error::Mismatch`] for a tensor that `lookup` does not have, or has in another size.
pub fn build<M>(lookup: Arc<TensorLookup>, build: impl FnOnce(&Weights) -> M) -> Result<M> {
    let weights = Weights::new(Mode::Build(lookup));
    let model = build(&weights);
    match lock(&weights.state.failure).take() {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

/// Compares names and shapes; returns the unexpected names, which do no harm.
fn compare(source: &dyn TensorSource, options: &LoadOptions, specs: &[TensorSpec]) -> Result<Vec<String>> {
    let known: std::collections::HashSet<&str> = specs.iter().map(|s| s.name.as_str()).collect();
    let names = source.names();
    let unexpected = names.into_iter().filter(|n| options.owns(n) && !known.contains(n.as_str()));
    let mut mismatch = Mismatch { unexpected: unexpected.collect(), ..Mismatch::default() };
    mismatch.unexpected.sort();
    for spec in specs.iter().filter(|s| s.role == TensorRole::Parameter) {
        match source.shape(&spec.name, &spec.shape) {
            None => mismatch.missing.push(spec.name.clone()),
            Some(found) if found != spec.shape => {
                mismatch.misshaped.push((spec.name.clone(), spec.shape.clone(), found));
            }
            Some(_) => {}
        }
    }
    let found: std::collections::HashSet<String> = source.names().into_iter().collect();
    for spec in specs.iter().filter(|s| s.role == TensorRole::Forbidden && found.contains(&s.name)) {
        let shape = source.shape(&spec.name, &spec.shape).unwrap_or_default();
        mismatch.misshaped.push((spec.name.clone(), Vec::new(), shape));
    }
    if mismatch.missing.is_empty() && mismatch.misshaped.is_empty() {
        return Ok(mismatch.unexpected);
    }
    mismatch.origin = format!("{} from {}", options.part, source.describe());
    mismatch.hint = prefix_hint(&mismatch.missing, &found).unwrap_or_else(|| hint(&mismatch));
    Err(Error::Mismatch(Box::new(mismatch)))
}

/// Prefixes, and tensors that nobody asked for, that are told one by one.
const HINTED: usize = 16;

/// Names what stands before the missing names where `found` has them under longer ones, or the adapter that hides them.
fn prefix_hint(missing: &[String], found: &std::collections::HashSet<String>) -> Option<String> {
    let first = missing.first()?;
    if found.iter().any(|name| name.contains(".lora_A.") || name.ends_with(".base_layer.weight")) {
        return Some(
            "the file holds an adapter (LoRA) beside the weights; merge it into them and save the model again".into(),
        );
    }
    let tried: Vec<&String> = missing.iter().take(100).collect();
    let most = |rename: &dyn Fn(&str) -> Option<String>| {
        tried.iter().filter(|name| rename(name).is_some_and(|name| found.contains(&name))).count() * 2 > tried.len()
    };
    let longer = found.iter().filter_map(|name| name.strip_suffix(first.as_str()));
    let mut prefixes: Vec<&str> = longer.filter(|prefix| prefix.ends_with(['.', '/', '_'])).take(HINTED).collect();
    prefixes.retain(|prefix| most(&|name| Some(format!("{prefix}{name}"))));
    prefixes.sort_unstable();
    if !prefixes.is_empty() {
        let list: Vec<_> = prefixes.iter().map(|prefix| format!("`{prefix}`")).collect();
        let list = list.join(" and ");
        return Some(format!(
            "the file has these tensors under {list}; save one model's, without what stands before their names"
        ));
    }
    let mut shorter = first.match_indices('.').map(|(dot, _)| &first[..=dot]);
    let lost = shorter.find(|prefix| most(&|name| name.strip_prefix(prefix).map(str::to_owned)))?;
    Some(format!("the file has these tensors without `{lost}` before their names; save the model as it was loaded"))
}

/// Names the configuration key behind the shapes that are known to have been published wrong.
fn hint(mismatch: &Mismatch) -> String {
    let position =
        mismatch.misshaped.iter().find(|(name, ..)| name.contains("vision_sampler") && name.contains("pos_embed"));
    match position {
        Some((_, want, got)) if got.len() == 2 => format!(
            "the aggregator was trained with {} keys per query and tower, the configuration implies {}: \
             `query_num_list` and `image_token_len` are 144 for video models and 576 for image-stage models",
            got[0],
            want.first().unwrap_or(&1)
        ),
        _ if mismatch.misshaped.is_empty() => "check that every file of the checkpoint is there".into(),
        _ => "check that config.json belongs to these weights".into(),
    }
}
