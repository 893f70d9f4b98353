//! Which instructions the machine has, and which of them are used.

use crate::amx::Amx;
use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicU8, Ordering};
use std::sync::OnceLock;

/// A set of instructions that kernels are written for. Each has those before it, but that the 256-bit
/// [`AvxVnni`](Self::AvxVnni) is not used beside 512-bit ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// What the compiler's target has at least.
    Portable,
    /// AVX2, FMA and F16C: 8-bit products as pairs of 16 bits.
    Avx2,
    /// AVX2 and 8-bit products of 256 bits.
    AvxVnni,
    /// AVX-512 F, BW and VL.
    Avx512,
    /// AVX-512 and 8-bit products.
    Avx512Vnni,
    /// AVX-512, 8-bit products and bf16 products.
    Avx512Bf16,
    /// AVX-512 with both, and AMX's tiles for products of bf16, which a run of them has shown to work.
    Amx,
}

impl Isa {
    /// All, from the least on.
    pub const ALL: [Self; 7] =
        [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512, Self::Avx512Vnni, Self::Avx512Bf16, Self::Amx];

    /// The best that this machine has.
    #[must_use]
    pub fn of_machine() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(detect)
    }

    /// What the kernels use: the machine's best, or less where [`Isa::limit`] said so.
    #[must_use]
    pub fn used() -> Self {
        match LIMIT.load(Ordering::Relaxed) {
            UNLIMITED => Self::of_machine(),
            limit => Self::ALL[usize::from(limit)].min(Self::of_machine()),
        }
    }

    /// Lets the kernels of this process use no more than `limit`, or all that there is: to compare, or to search for a
    /// fault.
    pub fn limit(limit: Option<Self>) {
        let most = |limit: Self| Self::ALL.into_iter().rfind(|isa| *isa <= limit && isa.is_present());
        let limit = limit.map(|limit| most(limit).unwrap_or(Self::Portable));
        LIMIT.store(limit.map_or(UNLIMITED, |limit| limit as u8), Ordering::Relaxed);
    }

    /// The instruction that multiplies many rows with weights in bfloat16, activations rounded to it; where there is none,
    /// weights are widened and products are `f32`.
    #[must_use]
    pub fn bf16_products(self) -> Option<&'static str> {
        match self {
            Self::Amx => Some("tdpbf16ps"),
            Self::Avx512Bf16 => Some("vdpbf16ps"),
            _ => None,
        }
    }

    /// The instruction that multiplies many rows with quantised weights, activations rounded to 8-bit integers; where
    /// there is none, weights are widened, and products are those of bf16 with AMX and `f32` elsewhere.
    #[must_use]
    pub fn int8_products(self) -> Option<&'static str> {
        match self {
            // 512-bit products of floats are as fast as 256-bit ones of bytes that are added in pairs.
            Self::Portable | Self::Avx512 | Self::Amx => None,
            Self::Avx2 => Some("vpmaddubsw"),
            _ => Some("vpdpbusd"),
        }
    }

    /// Why this machine's AMX is not used, in words; `None` where it works.
    #[must_use]
    pub fn amx_absence() -> Option<String> {
        Amx::status().err().map(|absence| absence.to_string())
    }

    /// Whether the machine has what this asks for.
    #[must_use]
    pub fn is_present(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        if self == Self::AvxVnni {
            return Self::of_machine() >= Self::Avx2 && is_x86_feature_detected!("avxvnni");
        }
        self <= Self::of_machine()
    }
}

const UNLIMITED: u8 = u8::MAX;

static LIMIT: AtomicU8 = AtomicU8::new(UNLIMITED);

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl");
    let (vnni, bf16) = (is_x86_feature_detected!("avx512vnni"), is_x86_feature_detected!("avx512bf16"));
    match (avx2, avx512) {
        (false, _) => Isa::Portable,
        (true, false) if is_x86_feature_detected!("avxvnni") => Isa::AvxVnni,
        (true, false) => Isa::Avx2,
        (true, true) if vnni && bf16 && Amx::detect().is_some() => Isa::Amx,
        (true, true) if vnni && bf16 => Isa::Avx512Bf16,
        (true, true) if vnni => Isa::Avx512Vnni,
        (true, true) => Isa::Avx512,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Isa {
    Isa::Portable
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        })
    }
}

/// A name that is none of [`Isa`]'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownIsa(pub String);

impl fmt::Display for UnknownIsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Isa::ALL.map(|isa| isa.to_string()).join(", ");
        write!(f, "no instructions are called `{}`; there are {names}", self.0)
    }
}

impl core::error::Error for UnknownIsa {}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        let asked = name.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|isa| isa.to_string() == asked).ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_others_are_refused() {
        for isa in Isa::ALL {
            assert_eq!(isa.to_string().parse(), Ok(isa));
        }
        let error = "avx1024".parse::<Isa>().unwrap_err().to_string();
        assert!(error.contains("avx1024") && error.contains("avx512-bf16"), "{error}");
    }

    #[test]
    fn what_is_used_is_there() {
        assert!(Isa::used().is_present() && Isa::Portable.is_present());
    }
}
