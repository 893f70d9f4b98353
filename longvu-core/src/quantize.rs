//! Quantisation of linear layers: 8-bit or 4-bit integers in groups that share a scale.

use std::{fmt, str::FromStr, sync::Arc};

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use half::{bf16, f16};
use longvu_kernels::{QuantBits, QuantFormat, QuantMatrix, ScaleType};

use crate::{Error, Result};

/// How the weights of linear layers are held, where not in the dtype.
///
/// Activations are floating-point numbers between operations. In a product with such weights they are rounded to integers, with
/// a step for each group of a row: a few rows to 16 bits, more to 8 where the machine multiplies those
/// ([`Isa::int8_products`](longvu_kernels::Isa::int8_products)); else more rows meet weights that are widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantize {
    /// 8-bit integers, 64 of a row to a half-precision scale: 8.25 bits a weight.
    Int8,
    /// 4-bit integers, 32 of a row to a half-precision scale that loses least of them: 4.5 bits a weight.
    ///
    /// Weights that are such integers already, times such a scale, come back as they are, where one of the 32 is -8, or 7 of
    /// either sign.
    Int4,
}

impl Quantize {
    /// Both, in the order they are listed to users.
    pub const ALL: [Self; 2] = [Self::Int8, Self::Int4];

    /// Weights that share a scale.
    pub const fn group(self) -> usize {
        match self {
            Self::Int8 => 64,
            Self::Int4 => 32,
        }
    }

    /// Bytes that a weight of `[outputs, inputs]` takes, scales and padding included.
    pub const fn bytes(self, outputs: usize, inputs: usize) -> usize {
        let groups = inputs.div_ceil(self.group());
        let codes = match self {
            Self::Int8 => groups * self.group(),
            Self::Int4 => groups * self.group() / 2,
        };
        // A row's scales are whole vectors of sixteen.
        outputs * (codes + 2 * groups.next_multiple_of(16))
    }

    /// Checks that quantised weights can be computed with on `device`.
    ///
    /// # Errors
    /// [`Error::Dtype`] on every device but the CPU.
    pub fn check_supported(self, device: &Device) -> Result<()> {
        #[cfg(feature = "flex")]
        if *device == Device::flex() {
            return Ok(());
        }
        Err(Error::Dtype(format!(
            "{self} weights are computed with on the CPU alone, not on {device:?}; use device `cpu`, or f16 or bf16"
        )))
    }

    fn format(self) -> QuantFormat {
        let bits = match self {
            Self::Int8 => QuantBits::Int8,
            Self::Int4 => QuantBits::Int4,
        };
        QuantFormat { bits, group: self.group(), affine: false, scales: ScaleType::F16 }
    }
}

impl fmt::Display for Quantize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        })
    }
}

impl FromStr for Quantize {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.trim().to_ascii_lowercase().as_str() {
            "int8" | "i8" | "8" | "8bit" => Ok(Self::Int8),
            "int4" | "i4" | "4" | "4bit" => Ok(Self::Int4),
            other => Err(Error::Dtype(format!("unknown quantisation `{other}`; use int8 or int4"))),
        }
    }
}

/// A quantised weight `[d_output, d_input]`, shared by clones.
#[derive(Module, Debug)]
pub struct QuantizedMatrix {
    #[module(skip)]
    matrix: Arc<QuantMatrix>,
}

impl QuantizedMatrix {
    /// Quantises rows of `inputs` float32 weights.
    pub fn new(quantize: Quantize, weights: &[f32], inputs: usize) -> Self {
        Self { matrix: Arc::new(QuantMatrix::quantize(quantize.format(), weights, inputs)) }
    }

    /// Quantises `[outputs, inputs]` weights of any float type, row by row.
    ///
    /// # Errors
    /// [`Error::Dtype`] for other types.
    pub fn from_data(quantize: Quantize, weights: &TensorData, [outputs, inputs]: [usize; 2]) -> Result<Self> {
        fn widen<T: Copy>(row: &[T], out: &mut [f32], f32: impl Fn(T) -> f32) {
            out.iter_mut().zip(row).for_each(|(out, &value)| *out = f32(value));
        }
        fn refuse(error: impl fmt::Display) -> Error {
            Error::Dtype(format!("weights cannot be quantised: {error}"))
        }
        let format = quantize.format();
        let row = |output: usize| output * inputs..(output + 1) * inputs;
        let matrix = match weights.dtype() {
            DType::F16 => {
                let values = weights.as_slice::<f16>().map_err(refuse)?;
                QuantMatrix::quantize_with(format, outputs, inputs, |i, out| widen(&values[row(i)], out, f16::to_f32))
            }
            DType::BF16 => {
                let values = weights.as_slice::<bf16>().map_err(refuse)?;
                QuantMatrix::quantize_with(format, outputs, inputs, |i, out| widen(&values[row(i)], out, bf16::to_f32))
            }
            _ => {
                let values = weights.as_slice::<f32>().map_err(refuse)?;
                QuantMatrix::quantize_with(format, outputs, inputs, |i, out| out.copy_from_slice(&values[row(i)]))
            }
        };
        Ok(Self { matrix: Arc::new(matrix) })
    }

    /// `[d_output, d_input]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.matrix.outputs(), self.matrix.inputs()]
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.matrix.bytes()
    }

    /// The matrix that the kernels multiply with.
    #[cfg(feature = "flex")]
    pub(crate) fn kernel(&self) -> &QuantMatrix {
        &self.matrix
    }

    /// The weight as it is computed with, in float32: `[d_output, d_input]`.
    pub fn restore(&self, device: &Device) -> Tensor<2> {
        let mut values = vec![0.0; self.matrix.outputs() * self.matrix.inputs()];
        self.matrix.dequantize(0, &mut values);
        Tensor::from_data(TensorData::new(values, self.dims()), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes() {
        for quantize in Quantize::ALL {
            assert_eq!(quantize.to_string().parse::<Quantize>().unwrap(), quantize);
            for (outputs, inputs) in [(7, 3584), (3, 1000), (5, 64)] {
                let matrix = QuantizedMatrix::new(quantize, &vec![0.5; outputs * inputs], inputs);
                assert_eq!(matrix.bytes(), quantize.bytes(outputs, inputs), "{quantize} {outputs} x {inputs}");
                assert_eq!(matrix.dims(), [outputs, inputs]);
            }
        }
        let values: Vec<f32> = (0..640).map(|i| ((i * 37) % 64) as f32 / 8.0 - 4.0).collect();
        for quantize in Quantize::ALL {
            let restored = |data: TensorData| {
                let matrix = QuantizedMatrix::from_data(quantize, &data, [5, 128]).unwrap();
                matrix.restore(&Device::default()).into_data().iter::<f32>().collect::<Vec<_>>()
            };
            let expected = QuantizedMatrix::new(quantize, &values, 128).restore(&Device::default());
            let expected: Vec<f32> = expected.into_data().iter::<f32>().collect();
            let data = TensorData::new(values.clone(), [5, 128]);
            for dtype in [DType::F32, DType::F16, DType::BF16] {
                assert_eq!(restored(data.clone().convert_dtype(dtype)), expected, "{quantize} {dtype:?}");
            }
        }
        let error = "int3".parse::<Quantize>().unwrap_err().to_string();
        assert!(error.contains("int3") && error.contains("int4"), "{error}");
    }
}
