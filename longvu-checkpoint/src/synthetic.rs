//! Weights from a rule instead of a file: every value follows from the tensor's name, its shape and the position.
//!
//! The rule makes full-size models that can be built, timed and compared across implementations where no
//! checkpoint can be downloaded. `docs/synthetic-weights.md` states it; the reference values that come with the
//! project's tests were made by the same rule elsewhere.

use std::ops::Range;

use burn::tensor::TensorData;
use longvu_core::Dtype;
use rayon::prelude::*;

use crate::{Result, TensorSource, formats::convert};

/// Has every tensor, of any shape.
#[derive(Debug, Clone, Copy, Default)]
pub struct Synthetic;

impl TensorSource for Synthetic {
    fn describe(&self) -> String {
        "the synthetic rule".into()
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn shape(&self, _name: &str, wanted: &[usize]) -> Option<Vec<usize>> {
        Some(wanted.to_vec())
    }

    fn read(&self, name: &str, shape: &[usize], dtype: Dtype) -> Result<TensorData> {
        Ok(convert::values_data(synthetic_values(name, shape), shape, dtype))
    }
}

/// All values of tensor `name` of `shape`, row-major.
pub fn synthetic_values(name: &str, shape: &[usize]) -> Vec<f32> {
    synthetic_range(name, shape, 0..shape.iter().product())
}

/// The values at the row-major positions `range` of tensor `name` of `shape`.
pub fn synthetic_range(name: &str, shape: &[usize], range: Range<usize>) -> Vec<f32> {
    let rule = Rule::of(name, shape);
    range.into_par_iter().with_min_len(1 << 14).map(|i| rule.value(i)).collect()
}

/// The value at row-major position `index` of tensor `name` of `shape`.
pub fn synthetic_value(name: &str, shape: &[usize], index: usize) -> f32 {
    Rule::of(name, shape).value(index)
}

struct Rule {
    hash: u64,
    offset: f32,
    scale: f32,
}

impl Rule {
    fn of(name: &str, shape: &[usize]) -> Self {
        let has = |part: &str| name.contains(part);
        let (offset, scale) =
            if name.ends_with("bias") || ["cls_token", "mask_token", "image_newline"].into_iter().any(has) {
                (0.0, 0.02)
            } else if has("lambda1") {
                (0.5, 0.1)
            } else if shape.len() == 1 {
                (1.0, 0.1)
            } else if has("position_embedding") || has("pos_embed") {
                (0.0, 0.5)
            } else if has("embed_tokens") || has("vision_query") {
                (0.0, 1.0)
            } else {
                let fan_in: usize = shape.iter().skip(1).product();
                (0.0, (3.0 / fan_in as f64).sqrt() as f32)
            };
        Self { hash: fnv1a(name), offset, scale }
    }

    fn value(&self, index: usize) -> f32 {
        let mut z = self.hash.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let uniform = (z >> 40) as f32 * 2f32.powi(-23) - 1.0;
        self.offset + self.scale * uniform
    }
}

/// The 64-bit FNV-1a hash of the name's UTF-8 bytes.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}
