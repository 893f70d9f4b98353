//! How a part of a model is loaded.

use longvu_core::{Device, Dtype, Quantize, Watch};

/// How to load.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Device that the parameters live on.
    pub device: Device,
    /// dtype that matrices are held in; other parameters have that of activations, [`Dtype::activations`].
    pub dtype: Dtype,
    /// Integers that the weights of linear layers are held in instead.
    pub quantize: Option<Quantize>,
    /// Name of the part, for error messages: "SigLIP tower", say.
    pub part: String,
    /// Only names with one of these prefixes belong to the part; empty means all do.
    pub prefixes: Vec<String>,
    /// Names with one of these prefixes belong to other parts, though a prefix above matches.
    pub foreign: Vec<String>,
    /// Who is told of tensors as they are read ([`Step::Load`]), and may stop it.
    pub watch: Watch,
}

impl LoadOptions {
    /// Options for `part`, which owns every tensor of its source.
    pub fn new(part: impl Into<String>, device: &Device, dtype: Dtype) -> Self {
        let (prefixes, foreign) = (Vec::new(), Vec::new());
        Self {
            device: device.clone(),
            dtype,
            quantize: None,
            part: part.into(),
            prefixes,
            foreign,
            watch: Watch::default(),
        }
    }

    /// Sets [`quantize`](Self::quantize).
    #[must_use]
    pub fn with_quantize(mut self, quantize: impl Into<Option<Quantize>>) -> Self {
        self.quantize = quantize.into();
        self
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
