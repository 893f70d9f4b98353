//! Checks: what is computed in two places and compared.

use anyhow::Result;
use longvu::Dtype;
use serde::Serialize;

use super::place::Place;

/// How large the operands are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// A few dozen rows and columns.
    Small,
    /// Those of the published models, a layer or two of each.
    Published,
    /// The published models' towers whole, and more of the language model.
    Full,
}

impl Size {
    /// What a check takes at a size; the whole models are about layers, not about operations.
    pub fn pick<T>(self, small: T, published: T) -> T {
        if self == Self::Small { small } else { published }
    }
}

/// What a check looks at, which decides what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One operation.
    Operation,
    /// A part of the model: many operations one after the other.
    Part,
    /// Many rows times weights in integers, for which rows become integers, too.
    Integers,
    /// What a stage keeps, which has to be the same.
    Decision,
}

impl Kind {
    /// The greatest relative error that is accepted: the golden cases' for float32, where products are not of shorter numbers; for
    /// others what rounding operands and results loses, twice for operations, and of parts what PyTorch lost in bf16 at full size
    /// and a half more, and an eighth of that in f16, which has three more bits.
    pub fn tolerance(self, dtype: Dtype, short_products: bool) -> f64 {
        match (self, dtype) {
            (Self::Decision, _) => 0.0,
            (Self::Integers, _) => 1.5e-2,
            (Self::Operation, Dtype::F32) if short_products => 1e-3,
            (Self::Part, Dtype::F32) if short_products => 5e-3,
            (_, Dtype::F32) => 1e-4,
            (Self::Operation, Dtype::F16) => 1e-3,
            (Self::Operation, Dtype::Bf16) => 8e-3,
            (Self::Part, Dtype::F16) => 5.6e-3,
            (Self::Part, Dtype::Bf16) => 4.5e-2,
        }
    }
}

/// Something that is computed in two places and compared.
pub struct Check {
    pub name: &'static str,
    pub kind: Kind,
    pub run: fn(&Place, Size) -> Result<Vec<f32>>,
    /// Whether it is about weights in integers, which not every device computes with.
    pub quantized: bool,
}
