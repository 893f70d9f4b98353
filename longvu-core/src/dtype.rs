//! Floating-point types by the names people use.

use std::{fmt, str::FromStr};

use burn::tensor::{DType, Device};

use crate::{Error, Result};

/// The floating-point type that weights are held in, and matrices are multiplied in where the device can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Dtype {
    /// 32-bit IEEE float, the default and the type the reference results were made in.
    #[default]
    F32,
    /// 16-bit IEEE float.
    F16,
    /// Brain float: 8 exponent bits, 8 bits of precision.
    Bf16,
}

impl Dtype {
    /// All types, in the order they are listed to users.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Bf16];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The type of activations, norms and biases on `device` when matrices are held in this one.
    ///
    /// GPUs compute in the type itself. On the CPU activations are f32 between operations, whatever weights are held in. More
    /// than a few rows are rounded to bf16 on their way into a product with weights in bf16, where the machine has
    /// instructions for such products ([`Isa::bf16_products`](longvu_kernels::Isa::bf16_products)).
    pub fn activations(self, device: &Device) -> Self {
        #[cfg(feature = "flex")]
        if *device == Device::flex() {
            return Self::F32;
        }
        let _ = device;
        self
    }

    /// Checks that `device` can compute in this type.
    ///
    /// # Errors
    /// [`Error::Dtype`] naming the types that the device has.
    pub fn check_supported(self, device: &Device) -> Result<()> {
        if device.supports_dtype(DType::from(self)) {
            return Ok(());
        }
        let have = Self::ALL.into_iter().filter(|&d| device.supports_dtype(DType::from(d)));
        let have = have.map(|d| d.to_string()).collect::<Vec<_>>().join(", ");
        Err(Error::Dtype(format!("{device:?} cannot compute in {self}; it supports {have}")))
    }
}

impl From<Dtype> for DType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.trim().trim_start_matches("torch.").to_ascii_lowercase().as_str() {
            "f32" | "float32" | "float" => Ok(Self::F32),
            "f16" | "float16" | "half" => Ok(Self::F16),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            other => Err(Error::Dtype(format!("unknown dtype `{other}`; use f32, f16 or bf16"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pytorch_and_rust_are_understood() {
        for (name, dtype) in [
            ("f32", Dtype::F32),
            ("float32", Dtype::F32),
            ("torch.float16", Dtype::F16),
            ("half", Dtype::F16),
            ("BF16", Dtype::Bf16),
            ("bfloat16", Dtype::Bf16),
        ] {
            assert_eq!(name.parse::<Dtype>().unwrap(), dtype, "{name}");
        }
        for dtype in Dtype::ALL {
            assert_eq!(dtype.to_string().parse::<Dtype>().unwrap(), dtype);
            assert_eq!(DType::from(dtype).size(), dtype.size());
        }
        let error = "int4".parse::<Dtype>().unwrap_err().to_string();
        assert!(error.contains("int4") && error.contains("bf16"), "{error}");
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_cpu_computes_in_every_type() {
        for dtype in Dtype::ALL {
            dtype.check_supported(&Device::flex()).unwrap();
        }
    }
}
