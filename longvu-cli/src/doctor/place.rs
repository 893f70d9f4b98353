//! Where a check runs, and its operands, which follow the synthetic rule: the same everywhere.

use std::sync::Arc;

use anyhow::Result;
#[cfg(not(feature = "flex"))]
use anyhow::bail;
#[cfg(feature = "flex")]
use anyhow::ensure;
#[cfg(feature = "flex")]
use longvu::ops;
use longvu::{
    Device, Dtype, Quantize, WeightFormat,
    burn::tensor::{DType, Tensor, TensorData},
    checkpoint::{LoadOptions, Synthetic, Weights, load, synthetic_values},
};

/// A device, and what weights are held in there.
#[derive(Debug, Clone)]
pub struct Place {
    pub device: Device,
    pub dtype: Dtype,
    /// Whether the CPU's kernels are used, where they apply.
    kernels: bool,
}

impl Place {
    pub fn new(device: &Device, dtype: Dtype) -> Self {
        Self { device: device.clone(), dtype, kernels: true }
    }

    /// What a device is compared with: the CPU in float32, which on the CPU itself goes without its kernels.
    ///
    /// # Errors
    /// Where that is the device itself: in a build without the CPU, and where the kernels are off.
    #[cfg(feature = "flex")]
    pub fn reference_of(device: &Device) -> Result<Self> {
        let cpu = Device::flex();
        let same = *device == cpu;
        ensure!(
            !same || ops::cpu_kernels(),
            "LONGVU_KERNELS is off, and the CPU without its kernels is what it would be compared with"
        );
        Ok(Self { kernels: !same, device: cpu, dtype: Dtype::F32 })
    }

    #[cfg(not(feature = "flex"))]
    pub fn reference_of(_: &Device) -> Result<Self> {
        bail!("this build lacks the CPU, with which devices are compared; build it with the feature `flex`")
    }

    /// Runs `work` with the CPU's kernels on or off, as they are here.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restored = Kernels::set(self.kernels);
        work()
    }

    /// Activations from -1 to 1.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let dtype = self.dtype.activations(&self.device);
        self.made(&format!("embed_tokens.{name}"), shape, dtype)
    }

    /// A matrix of a linear layer, held as weights are.
    pub fn matrix(&self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        self.made(&format!("{name}.weight"), shape, self.dtype)
    }

    /// A bias, or, as `weight`, a scale about 1.
    pub fn vector(&self, name: &str, len: usize) -> Tensor<1> {
        self.made(name, [len], self.dtype.activations(&self.device))
    }

    fn made<const D: usize>(&self, name: &str, shape: [usize; D], dtype: Dtype) -> Tensor<D> {
        let data = TensorData::new(synthetic_values(name, &shape), shape).convert_dtype(DType::from(dtype));
        Tensor::from_data(data, (&self.device, DType::from(dtype)))
    }

    /// A part of a model with weights by the synthetic rule.
    pub fn load<M>(&self, build: impl Fn(&Weights) -> M) -> Result<M> {
        self.load_quantized(None, build)
    }

    /// The same with its matrices in integers.
    pub fn load_quantized<M>(&self, quantize: Option<Quantize>, build: impl Fn(&Weights) -> M) -> Result<M> {
        let format = WeightFormat::from(self.dtype).with_quantize(quantize);
        Ok(load(Arc::new(Synthetic), &LoadOptions::new("synthetic", &self.device, format), build)?.0)
    }
}

/// The values of a tensor.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Sets whether the CPU's kernels are used, for as long as it lives.
struct Kernels {
    #[cfg(feature = "flex")]
    before: bool,
}

impl Kernels {
    #[cfg(feature = "flex")]
    fn set(on: bool) -> Self {
        let before = ops::cpu_kernels();
        ops::set_cpu_kernels(before && on);
        Self { before }
    }

    #[cfg(not(feature = "flex"))]
    fn set(_: bool) -> Self {
        Self {}
    }
}

#[cfg(feature = "flex")]
impl Drop for Kernels {
    fn drop(&mut self) {
        ops::set_cpu_kernels(self.before);
    }
}
