//! From the bytes of a file to numbers of the wanted type.

use burn::tensor::TensorData;
use half::{bf16, f16};

use crate::Dtype;

/// Element types that weights files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    F64,
    F32,
    F16,
    Bf16,
}

impl Stored {
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

/// Little-endian `bytes` of type `stored` as tensor data of type `dtype`.
///
/// The length of `bytes` must be that of `shape`; callers have checked it against the file's header.
pub fn tensor_data(bytes: &[u8], stored: Stored, shape: &[usize], dtype: Dtype) -> TensorData {
    let shape = shape.to_vec();
    match dtype {
        Dtype::F32 => TensorData::new(decode(bytes, stored, |x| x as f32, |x| x), shape),
        Dtype::F16 => TensorData::new(decode(bytes, stored, f16::from_f64, f16::from_f32), shape),
        Dtype::Bf16 => TensorData::new(decode(bytes, stored, bf16::from_f64, bf16::from_f32), shape),
    }
}

fn decode<T>(bytes: &[u8], stored: Stored, from_f64: fn(f64) -> T, from_f32: fn(f32) -> T) -> Vec<T> {
    match stored {
        Stored::F64 => chunks(bytes).map(|b| from_f64(f64::from_le_bytes(b))).collect(),
        Stored::F32 => chunks(bytes).map(|b| from_f32(f32::from_le_bytes(b))).collect(),
        Stored::F16 => chunks(bytes).map(|b| from_f32(f16::from_le_bytes(b).to_f32())).collect(),
        Stored::Bf16 => chunks(bytes).map(|b| from_f32(bf16::from_le_bytes(b).to_f32())).collect(),
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_types_converts() {
        let values = [0.0f32, 1.5, -2.25, 1024.0];
        let encoded: [(Stored, Vec<u8>); 4] = [
            (Stored::F64, values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect()),
            (Stored::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            (Stored::F16, values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()),
            (Stored::Bf16, values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()),
        ];
        for (stored, bytes) in &encoded {
            for dtype in Dtype::ALL {
                let data = tensor_data(bytes, *stored, &[2, 2], dtype);
                let back: Vec<f32> = data.iter::<f32>().collect();
                assert_eq!(back, values, "{stored:?} to {dtype}");
            }
        }
    }
}
