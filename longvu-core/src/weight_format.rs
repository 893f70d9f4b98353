//! What weights are held in.

use std::{fmt, str::FromStr};

use burn::tensor::Device;

use crate::{Dtype, Error, Quantize, Result};

/// What a model's weights are held in: a dtype, and for linear layers perhaps groups of integers instead.
///
/// ```
/// use longvu_core::{Dtype, Quantize, WeightFormat};
///
/// assert_eq!(WeightFormat::from(Dtype::Bf16), "bf16".parse()?);
/// let small = WeightFormat::from(Quantize::Int8).with_dtype(Dtype::Bf16);
/// assert_eq!((small, small.to_string()), ("int8+bf16".parse()?, "int8+bf16".into()));
/// # Ok::<(), longvu_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct WeightFormat {
    /// What everything is held in that is not quantised; f32 by default. GPUs also compute in it; the CPU multiplies matrices
    /// in bf16 where it has instructions for that, and computes the rest in f32.
    pub dtype: Dtype,
    /// What the linear layers of the language model and the towers are held in instead; on the CPU alone, which multiplies
    /// more than a few rows in 8-bit integers where it has instructions for that. Embeddings, norms and the connector stay
    /// in the dtype.
    pub quantize: Option<Quantize>,
}

impl WeightFormat {
    /// The same with another dtype.
    #[must_use]
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// The same with linear layers quantised, or not.
    #[must_use]
    pub fn with_quantize(mut self, quantize: impl Into<Option<Quantize>>) -> Self {
        self.quantize = quantize.into();
        self
    }

    /// Checks that `device` can compute with such weights.
    ///
    /// # Errors
    /// As [`Dtype::check_supported`] and [`Quantize::check_supported`].
    pub fn check_supported(self, device: &Device) -> Result<()> {
        self.dtype.check_supported(device)?;
        self.quantize.map_or(Ok(()), |quantize| quantize.check_supported(device))
    }
}

impl From<Dtype> for WeightFormat {
    fn from(dtype: Dtype) -> Self {
        Self { dtype, quantize: None }
    }
}

impl From<Quantize> for WeightFormat {
    fn from(quantize: Quantize) -> Self {
        Self { dtype: Dtype::default(), quantize: Some(quantize) }
    }
}

impl fmt::Display for WeightFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantize {
            Some(quantize) => write!(f, "{quantize}+{}", self.dtype),
            None => self.dtype.fmt(f),
        }
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    /// A dtype (`bf16`), integers for linear layers (`int8`), or both (`int8+bf16`).
    fn from_str(s: &str) -> Result<Self> {
        match s.split_once('+') {
            Some((quantize, dtype)) => Ok(Self { dtype: dtype.parse()?, quantize: Some(quantize.parse()?) }),
            None => s.parse::<Quantize>().map(Self::from).or_else(|_| Ok(s.parse::<Dtype>()?.into())),
        }
    }
}
