//! The tensors that training changes, by their state-dict names, with the optimizer's state.
//!
//! Values, moments and what is written to a checkpoint share one key, the name: a run resumes from files alone, and
//! weights are exported under the names that loading asks for.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use burn::{
    optim::{AdamWState, AdaptiveMomentumState},
    tensor::{DType, Device, Gradients, Tensor, TensorData},
};
use longvu_checkpoint::{SafetensorsWriter, TensorLookup, TensorRole, TensorSource, TensorSpec};
use longvu_core::Dtype;

use crate::{
    Result, StageSettings,
    initial::{initial_values, joins_residual},
    optimizer::{Moments, Optimizers, ParameterKind},
};

struct Parameter {
    shape: Vec<usize>,
    kind: ParameterKind,
    /// `[elements]`, without a graph.
    value: Tensor<1>,
    moments: Option<Moments>,
}

/// Trainable tensors.
pub struct Parameters {
    device: Device,
    named: BTreeMap<String, Parameter>,
}

/// Gradients by name, each `[elements]`; parameters that a loss does not depend on are missing.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

impl Parameters {
    /// Parameters of the given layout, drawn from `seed`.
    pub fn initial(specs: &[TensorSpec], seed: u64, device: &Device) -> Self {
        let values = |spec: &TensorSpec| initial_values(&spec.name, &spec.shape, seed);
        Self::from_values(specs, device, values)
    }

    /// Parameters of the given layout from a checkpoint; those that it lacks are drawn from `seed`, if there is one.
    ///
    /// # Errors
    /// Tensors of another shape, that are missing, or that cannot be read.
    pub fn from_source(
        specs: &[TensorSpec],
        source: &dyn TensorSource,
        seed: Option<u64>,
        device: &Device,
    ) -> Result<Self> {
        let mut read = HashMap::new();
        for spec in specs.iter().filter(|spec| spec.role == TensorRole::Parameter) {
            match source.shape(&spec.name, &spec.shape) {
                Some(shape) if shape == spec.shape => {
                    let data = source.read(&spec.name, &spec.shape, Dtype::F32)?;
                    read.insert(spec.name.clone(), data.iter::<f32>().collect::<Vec<f32>>());
                }
                Some(found) => {
                    return Err(crate::Error::Shape {
                        name: spec.name.clone(),
                        found,
                        expected: spec.shape.clone(),
                        origin: source.describe(),
                    });
                }
                None if seed.is_some() => {}
                None => return Err(crate::Error::Missing { name: spec.name.clone(), origin: source.describe() }),
            }
        }
        let values = |spec: &TensorSpec| {
            read.remove(&spec.name).unwrap_or_else(|| initial_values(&spec.name, &spec.shape, seed.unwrap_or_default()))
        };
        Ok(Self::from_values(specs, device, values))
    }

    fn from_values(specs: &[TensorSpec], device: &Device, mut values: impl FnMut(&TensorSpec) -> Vec<f32>) -> Self {
        let trainable = specs.iter().filter(|s| matches!(s.role, TensorRole::Parameter));
        let mut parameter = |spec: &TensorSpec| Parameter {
            shape: spec.shape.clone(),
            kind: kind(spec),
            value: flat(values(spec), device),
            moments: None,
        };
        let named = trainable.map(|spec| (spec.name.clone(), parameter(spec))).collect();
        Self { device: device.clone(), named }
    }

    /// The values alone, for another stage to begin with.
    #[must_use]
    pub fn without_moments(mut self) -> Self {
        self.named.values_mut().for_each(|parameter| parameter.moments = None);
        self
    }

    /// With what a layout has beyond these, as when a decoder gets further layers. These begin as blocks that add nothing to
    /// the residual stream, so that the model is what it was; what leads up to their output is drawn from `seed`.
    #[must_use]
    pub fn grown(mut self, specs: &[TensorSpec], seed: u64) -> Self {
        let new: Vec<TensorSpec> = specs.iter().filter(|spec| !self.named.contains_key(&spec.name)).cloned().collect();
        let values = |spec: &TensorSpec| match joins_residual(&spec.name) {
            true => vec![0.0; spec.shape.iter().product()],
            false => initial_values(&spec.name, &spec.shape, seed),
        };
        self.named.extend(Self::from_values(&new, &self.device, values).named);
        self
    }

    /// Number of elements.
    pub fn num_elements(&self) -> usize {
        self.named.values().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// The device that they live on, without gradients.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The values as new leaves of a graph: what a loss is computed of, and then its gradients.
    pub fn leaves(&self) -> Leaves {
        let leaf = |parameter: &Parameter| parameter.value.clone().autodiff().require_grad();
        Leaves(Arc::new(self.named.iter().map(|(name, p)| (name.clone(), leaf(p))).collect()))
    }

    /// The values without a graph, for validation.
    pub fn constants(&self) -> Leaves {
        Leaves(Arc::new(self.named.iter().map(|(name, p)| (name.clone(), p.value.clone())).collect()))
    }

    /// One step; gradients are scaled by `scale` and then clipped together. Returns their norm before.
    pub fn step(&mut self, mut grads: NamedGradients, scale: f64, lr: f64, settings: &StageSettings) -> f64 {
        let square = |grad: &Tensor<1>| f64::from(grad.clone().square().sum().into_scalar::<f32>());
        let norm = grads.values().map(square).sum::<f64>().sqrt() * scale;
        if !norm.is_finite() {
            // A step by numbers that are none would spoil every parameter at once.
            return norm;
        }
        let scale = scale * (settings.adamw.max_grad_norm / norm.max(1e-12)).min(1.0);
        let optimizers = Optimizers::new(&settings.adamw, settings.muon.as_ref());
        for (name, parameter) in &mut self.named {
            if let Some(grad) = grads.remove(name) {
                let (value, moments) = (parameter.value.clone(), parameter.moments.take());
                (parameter.value, parameter.moments) =
                    optimizers.step(lr, parameter.kind, value, grad.mul_scalar(scale), moments);
            }
        }
        norm
    }

    /// Writes the parameters whose names `keep` accepts, under the names it gives, in name order.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn export(&self, path: &Path, dtype: Dtype, keep: impl Fn(&str) -> Option<String>) -> Result<()> {
        let chosen: Vec<(String, &Parameter)> =
            self.named.iter().filter_map(|(name, p)| Some((keep(name)?, p))).collect();
        let specs: Vec<TensorSpec> = chosen.iter().map(|(name, p)| spec(name.clone(), p)).collect();
        let mut writer = SafetensorsWriter::create(path, &specs, dtype)?;
        for (_, parameter) in &chosen {
            writer.write(&values(&parameter.value))?;
        }
        Ok(writer.finish()?)
    }

    /// Writes values and moments, from which [`Parameters::restore`] goes on exactly.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut specs = Vec::new();
        let mut tensors = Vec::new();
        for (name, parameter) in &self.named {
            specs.push(spec(format!("{VALUE}{name}"), parameter));
            tensors.push(&parameter.value);
            let moments = match &parameter.moments {
                Some(Moments::AdamW(state)) => {
                    vec![(MOMENT_1, &state.momentum.moment_1), (MOMENT_2, &state.momentum.moment_2)]
                }
                Some(Moments::Muon { velocity }) => vec![(VELOCITY, velocity)],
                None => Vec::new(),
            };
            for (prefix, tensor) in moments {
                specs.push(spec(format!("{prefix}{name}"), parameter));
                tensors.push(tensor);
            }
        }
        let mut writer = SafetensorsWriter::create(path, &specs, Dtype::F32)?;
        for tensor in tensors {
            writer.write(&values(tensor))?;
        }
        Ok(writer.finish()?)
    }

    /// Takes values and moments from a file that [`Parameters::save`] wrote after `steps` steps.
    ///
    /// # Errors
    /// A file of another model, or a damaged one.
    pub fn restore(&mut self, source: &dyn TensorSource, steps: usize) -> Result<()> {
        for (name, parameter) in &mut self.named {
            let read = |prefix: &str| -> Result<Option<Tensor<1>>> {
                let name = format!("{prefix}{name}");
                if source.shape(&name, &parameter.shape).as_ref() != Some(&parameter.shape) {
                    return Ok(None);
                }
                let data = source.read(&name, &parameter.shape, Dtype::F32)?;
                Ok(Some(flat(data.iter::<f32>().collect(), &self.device)))
            };
            parameter.value = read(VALUE)?.ok_or_else(|| crate::Error::ForeignCheckpoint {
                path: source.describe(),
                reason: format!("it has no `{name}` of shape {:?}", parameter.shape),
            })?;
            parameter.moments = match (read(MOMENT_1)?, read(MOMENT_2)?, read(VELOCITY)?) {
                (Some(moment_1), Some(moment_2), _) => {
                    let momentum = AdaptiveMomentumState { time: steps, moment_1, moment_2, max_moment_2: None };
                    Some(Moments::AdamW(AdamWState::new(momentum)))
                }
                (_, _, Some(velocity)) => Some(Moments::Muon { velocity }),
                _ => None,
            };
        }
        Ok(())
    }
}

const VALUE: &str = "parameter.";
const MOMENT_1: &str = "moment_1.";
const MOMENT_2: &str = "moment_2.";
const VELOCITY: &str = "velocity.";

fn spec(name: String, parameter: &Parameter) -> TensorSpec {
    TensorSpec::new(name, parameter.shape.clone(), TensorRole::Parameter)
}

/// Whether a tensor multiplies activations, or is a table that is looked up or added.
fn kind(spec: &TensorSpec) -> ParameterKind {
    let is_table = ["embed", "newline", "query", "token", "probe"].into_iter().any(|part| {
        spec.name.contains(part) && !spec.name.ends_with("query.weight") && !spec.name.contains("patch_embed")
    });
    match spec.shape[..] {
        _ if is_table => ParameterKind::Other,
        [rows, columns] if !spec.name.starts_with("lm_head") => ParameterKind::Matrix([rows, columns]),
        [] | [_] => ParameterKind::Other,
        _ => ParameterKind::Kernel,
    }
}

fn flat(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), (device, DType::F32))
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().iter::<f32>().collect()
}

/// Values of parameters at one step, by name.
#[derive(Clone)]
pub struct Leaves(Arc<HashMap<String, Tensor<1>>>);

impl Leaves {
    /// Finds a tensor by its name, for [`longvu_checkpoint::build`].
    pub fn lookup(&self) -> Arc<TensorLookup> {
        let leaves = self.clone();
        Arc::new(move |name| leaves.0.get(name).cloned())
    }

    /// Takes what a loss' backward pass left for these leaves.
    pub fn take_gradients(&self, grads: &mut Gradients) -> NamedGradients {
        let taken = self.0.iter().filter_map(|(name, leaf)| Some((name.clone(), leaf.grad_remove(grads)?)));
        taken.collect()
    }
}

/// Adds gradients of another part of a batch.
pub fn accumulate(sum: &mut NamedGradients, part: NamedGradients) {
    for (name, grad) in part {
        let total = match sum.remove(&name) {
            Some(so_far) => so_far + grad,
            None => grad,
        };
        sum.insert(name, total);
    }
}
