//! From the bytes of a file to numbers of the wanted type.

use burn::tensor::{AllocationProperty, Bytes, TensorData};
use half::{bf16, f16};
use longvu_core::Dtype;
use rayon::prelude::*;

use crate::Result;

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

    /// The same type as one that models are held in; for f64, which none is, f32.
    pub const fn dtype(self) -> Dtype {
        match self {
            Self::F64 | Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::Bf16,
        }
    }
}

/// Whether `bytes` of type `stored` are as they stand, on this machine, numbers of type `dtype`.
pub fn fits_in_place(bytes: &[u8], stored: Stored, dtype: Dtype) -> bool {
    let same = stored != Stored::F64 && stored.dtype() == dtype;
    same && cfg!(target_endian = "little") && bytes.as_ptr().addr().is_multiple_of(dtype.size())
}

/// Elements from which a tensor is converted by all threads; below, handing out the work costs more than it saves.
const PARALLEL: usize = 1 << 16;

/// `bytes` as tensor data without a copy; the tensor keeps them.
///
/// They must be such as [`fits_in_place`] says, and as long as `shape` says.
pub fn in_place(bytes: bytes::Bytes, property: AllocationProperty, shape: &[usize], dtype: Dtype) -> TensorData {
    TensorData::from_bytes(Bytes::from_shared(bytes, property), shape.to_vec(), dtype.into())
}

/// A tensor's little-endian bytes of type `stored`, handed out in `blocks`, as tensor data of type `dtype`.
///
/// Blocks are let go one by one, so that the bytes and the result are never in memory both and whole. Together they must
/// be as long as `shape` says, and each a multiple of an element; callers have checked the file's header.
///
/// # Errors
/// Those of the blocks.
pub fn tensor_data<B: AsRef<[u8]>>(
    blocks: impl Iterator<Item = Result<B>>,
    stored: Stored,
    shape: &[usize],
    dtype: Dtype,
) -> Result<TensorData> {
    let (count, shape) = (shape.iter().product(), shape.to_vec());
    Ok(match dtype {
        Dtype::F32 => TensorData::new(decode(blocks, stored, count, |x| x as f32, |x| x)?, shape),
        // The same type stays as it is, to the bit.
        Dtype::F16 if stored == Stored::F16 => {
            TensorData::new(collect(blocks, count, |bytes, out| append(out, bytes, f16::from_le_bytes))?, shape)
        }
        Dtype::Bf16 if stored == Stored::Bf16 => {
            TensorData::new(collect(blocks, count, |bytes, out| append(out, bytes, bf16::from_le_bytes))?, shape)
        }
        Dtype::F16 => TensorData::new(decode(blocks, stored, count, f16::from_f64, f16::from_f32)?, shape),
        Dtype::Bf16 => TensorData::new(decode(blocks, stored, count, bf16::from_f64, bf16::from_f32)?, shape),
    })
}

/// `values` as tensor data of type `dtype`.
pub fn values_data(values: Vec<f32>, shape: &[usize], dtype: Dtype) -> TensorData {
    let shape = shape.to_vec();
    match dtype {
        Dtype::F32 => TensorData::new(values, shape),
        Dtype::F16 => TensorData::new(map(&values, |&v| f16::from_f32(v)), shape),
        Dtype::Bf16 => TensorData::new(map(&values, |&v| bf16::from_f32(v)), shape),
    }
}

fn decode<T: Send, B: AsRef<[u8]>>(
    blocks: impl Iterator<Item = Result<B>>,
    stored: Stored,
    count: usize,
    from_f64: impl Fn(f64) -> T + Sync + Send,
    from_f32: impl Fn(f32) -> T + Sync + Send,
) -> Result<Vec<T>> {
    collect(blocks, count, |bytes, out| match stored {
        Stored::F64 => append(out, bytes, |b| from_f64(f64::from_le_bytes(b))),
        Stored::F32 => append(out, bytes, |b| from_f32(f32::from_le_bytes(b))),
        Stored::F16 => append(out, bytes, |b| from_f32(f16::from_le_bytes(b).to_f32())),
        Stored::Bf16 => append(out, bytes, |b| from_f32(bf16::from_le_bytes(b).to_f32())),
    })
}

/// What `convert` makes of each block, in a row.
fn collect<T, B: AsRef<[u8]>>(
    blocks: impl Iterator<Item = Result<B>>,
    count: usize,
    convert: impl Fn(&[u8], &mut Vec<T>),
) -> Result<Vec<T>> {
    let mut out = Vec::with_capacity(count);
    for block in blocks {
        convert(block?.as_ref(), &mut out);
    }
    Ok(out)
}

fn append<const N: usize, T: Send>(out: &mut Vec<T>, bytes: &[u8], convert: impl Fn([u8; N]) -> T + Sync + Send) {
    let (elements, _) = bytes.as_chunks::<N>();
    if elements.len() < PARALLEL {
        return out.extend(elements.iter().map(|&element| convert(element)));
    }
    out.par_extend(elements.par_iter().with_min_len(PARALLEL).map(|&element| convert(element)));
}

fn map<S: Sync, T: Send>(elements: &[S], convert: impl Fn(&S) -> T + Sync + Send) -> Vec<T> {
    if elements.len() < PARALLEL {
        return elements.iter().map(convert).collect();
    }
    elements.par_iter().with_min_len(PARALLEL).map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Converted in blocks of `block` bytes.
    fn converted(bytes: &[u8], stored: Stored, block: usize, dtype: Dtype, shape: &[usize]) -> TensorData {
        tensor_data(bytes.chunks(block).map(Ok), stored, shape, dtype).unwrap()
    }

    /// `cargo test --release -p longvu-core -- --ignored --nocapture conversion_speed`
    #[test]
    #[ignore = "a measurement"]
    #[allow(clippy::print_stdout)]
    fn conversion_speed() {
        let count = 100_000_000;
        for (stored, size) in [(Stored::F32, 4), (Stored::F16, 2), (Stored::Bf16, 2)] {
            let bytes = vec![0x3Cu8; count * size];
            let start = std::time::Instant::now();
            let copy = std::hint::black_box(bytes.clone());
            let moved = (bytes.len() + copy.len()) as f64 / 1e9;
            println!("a plain copy: {:.1} GB/s", moved / start.elapsed().as_secs_f64());
            drop(copy);
            for dtype in Dtype::ALL {
                let start = std::time::Instant::now();
                let data = converted(&bytes, stored, super::super::mapped::BLOCK, dtype, &[count]);
                let seconds = start.elapsed().as_secs_f64();
                let moved = (bytes.len() + data.as_bytes().len()) as f64 / 1e9;
                println!("{stored:?} to {dtype}: {seconds:.3} s, {:.1} GB/s read and written", moved / seconds);
            }
        }
    }

    #[test]
    fn tensors_large_enough_for_threads_convert_alike() {
        let count = 3 * PARALLEL + 17;
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin() * 100.0).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let half: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        let brain: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
        let shape = [count];
        for (dtype, expected) in [
            (Dtype::F32, TensorData::new(values.clone(), shape)),
            (Dtype::F16, TensorData::new(half, shape)),
            (Dtype::Bf16, TensorData::new(brain, shape)),
        ] {
            assert_eq!(converted(&bytes, Stored::F32, bytes.len(), dtype, &shape), expected);
            assert_eq!(converted(&bytes, Stored::F32, 4 * PARALLEL + 4, dtype, &shape), expected);
            assert_eq!(values_data(values.clone(), &shape, dtype), expected);
        }
    }

    #[test]
    fn an_empty_tensor_converts() {
        for dtype in Dtype::ALL {
            assert_eq!(converted(&[], Stored::F16, 8, dtype, &[0, 3]).shape().to_vec(), [0, 3]);
        }
    }

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
                let data = converted(bytes, *stored, 16, dtype, &[2, 2]);
                let back: Vec<f32> = data.iter::<f32>().collect();
                assert_eq!(back, values, "{stored:?} to {dtype}");
            }
        }
    }
}
