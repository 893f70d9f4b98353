//! Weight-only quantisation of linear layers: 8-bit or 4-bit integers in groups that share a scale.

use std::{fmt, str::FromStr};

use crate::{Error, Result};

/// How the weights of linear layers are held, where not in the dtype: activations stay in floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantize {
    /// 8-bit integers, 64 of a row to a half-precision scale: 8.25 bits a weight.
    Int8,
    /// 4-bit integers, 32 of a row to a half-precision scale: 4.5 bits a weight.
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
            "int8" | "i8" | "q8" => Ok(Self::Int8),
            "int4" | "i4" | "q4" => Ok(Self::Int4),
            other => Err(Error::Dtype(format!("unknown quantisation `{other}`; use int8 or int4"))),
        }
    }
}
