//! How a part of a model is loaded.

use longvu_core::{Device, Watch, WeightFormat};

/// How to load.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Device that the parameters live on.
    pub device: Device,
    /// What matrices are held in; other parameters have the dtype of activations, [`Dtype::activations`](longvu_core::Dtype::activations).
    pub weights: WeightFormat,
    /// Name of the part, for error messages: "SigLIP tower", say.
    pub part: String,
    /// Only names with one of these prefixes belong to the part; empty means all do.
    pub prefixes: Vec<String>,
    /// Names with one of these prefixes belong to other parts, though a prefix above matches.
    pub foreign: Vec<String>,
    /// Who is told of tensors as they are read ([`Step::Load`](longvu_core::Step::Load)), and may stop it.
    pub watch: Watch,
}

impl LoadOptions {
    /// Options for `part`, which owns every tensor of its source.
    pub fn new(part: impl Into<String>, device: &Device, weights: impl Into<WeightFormat>) -> Self {
        let (prefixes, foreign) = (Vec::new(), Vec::new());
        Self {
            device: device.clone(),
            weights: weights.into(),
            part: part.into(),
            prefixes,
            foreign,
            watch: Watch::default(),
        }
    }

    /// Sets [`prefixes`](Self::prefixes).
    #[must_use]
    pub fn with_prefixes(mut self, prefixes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.prefixes = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`foreign`](Self::foreign).
    #[must_use]
    pub fn with_foreign(mut self, foreign: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.foreign = foreign.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`watch`](Self::watch).
    #[must_use]
    pub fn with_watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    /// Whether the tensor `name` belongs to the part.
    pub(crate) fn owns(&self, name: &str) -> bool {
        let starts = |list: &[String]| list.iter().any(|prefix| name.starts_with(prefix.as_str()));
        (self.prefixes.is_empty() || starts(&self.prefixes)) && !starts(&self.foreign)
    }
}
