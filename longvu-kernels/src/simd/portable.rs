//! Plain arrays, which the compiler vectorises for its target.

use super::{BLOCK, LANES, Simd, Tile};

/// Needs nothing of the machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Sixteen lanes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes([f32; LANES]);

impl Lanes {
    #[inline(always)]
    fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut out = self;
        for lane in &mut out.0 {
            *lane = f(*lane);
        }
        out
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut out = self;
        for (lane, other) in out.0.iter_mut().zip(other.0) {
            *lane = f(*lane, other);
        }
        out
    }

    /// Halves the lanes until one is left.
    #[inline(always)]
    fn fold(mut self, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                self.0[i] = f(self.0[i], self.0[i + half]);
            }
            half /= 2;
        }
        self.0[0]
    }
}

/// Without a fused instruction `f32::mul_add` is a slow library call.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// Without branches, so that it vectorises: the exponent is re-biased by a multiplication, which also normalises
/// subnormal numbers.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let scaled = (f32::from_bits(magnitude) * f32::from_bits((254 - 15) << 23)).to_bits();
    let special = if bits & 0x7c00 == 0x7c00 { 0xff << 23 } else { 0 };
    f32::from_bits(scaled | special | (u32::from(bits & 0x8000) << 16))
}

/// 1.5 * 2^23: adding it leaves an integer in the low bits of the mantissa.
const MAGIC: f32 = 12_582_912.0;

impl Simd for Portable {
    type F = Lanes;
    type W = [i16; BLOCK];
    type I = [i32; LANES];
    type P = Lanes;

    const TILE: Tile = Tile::Rows4Vectors1;
    const NEAR: usize = 1 << 14;

    #[inline(always)]
    fn splat(self, x: f32) -> Lanes {
        Lanes([x; LANES])
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Lanes {
        Lanes(*x)
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES], x: Lanes) {
        *out = x.0;
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T, _: usize) {}

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Lanes {
        let mut out = [0.0; LANES];
        for (out, &bits) in out.iter_mut().zip(x) {
            *out = f16_to_f32(bits);
        }
        Lanes(out)
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Lanes {
        let mut out = [0.0; LANES];
        for (out, &bits) in out.iter_mut().zip(x) {
            *out = f32::from_bits(u32::from(bits) << 16);
        }
        Lanes(out)
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        let mut out = c;
        for ((out, a), b) in out.0.iter_mut().zip(a.0).zip(b.0) {
            *out = mul_add(a, b, *out);
        }
        out
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        a.zip(b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, x: Lanes) -> Lanes {
        x.map(f32::abs)
    }

    #[inline(always)]
    fn select_positive(self, x: Lanes, a: Lanes, b: Lanes) -> Lanes {
        let mut out = b;
        for ((out, a), x) in out.0.iter_mut().zip(a.0).zip(x.0) {
            *out = if x > 0.0 { a } else { *out };
        }
        out
    }

    #[inline(always)]
    fn round(self, x: Lanes) -> Lanes {
        x.map(|x| (x + MAGIC) - MAGIC)
    }

    #[inline(always)]
    fn power_of_two(self, n: Lanes) -> Lanes {
        n.map(|n| f32::from_bits((n + MAGIC).to_bits().wrapping_add(127) << 23))
    }

    #[inline(always)]
    fn sum(self, x: Lanes) -> f32 {
        x.fold(|a, b| a + b)
    }

    #[inline(always)]
    fn sum4(self, x: [Lanes; 4]) -> [f32; 4] {
        [self.sum(x[0]), self.sum(x[1]), self.sum(x[2]), self.sum(x[3])]
    }

    #[inline(always)]
    fn max_lane(self, x: Lanes) -> f32 {
        x.fold(|a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn widen_i8(self, x: &[i8; BLOCK]) -> Self::W {
        let mut out = [0; BLOCK];
        for (out, &byte) in out.iter_mut().zip(x) {
            *out = i16::from(byte);
        }
        out
    }

    #[inline(always)]
    fn widen_u4(self, x: &[u8; BLOCK / 2]) -> Self::W {
        let mut out = [0; BLOCK];
        for (i, &byte) in x.iter().enumerate() {
            out[i] = i16::from(byte & 15);
            out[i + BLOCK / 2] = i16::from(byte >> 4);
        }
        out
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        [0; LANES]
    }

    #[inline(always)]
    fn zero_p(self) -> Lanes {
        Lanes([0.0; LANES])
    }

    #[inline(always)]
    fn dot_i(self, w: Self::W, x: &[i16; BLOCK], mut acc: Self::I) -> Self::I {
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc += i32::from(w[2 * i]) * i32::from(x[2 * i]) + i32::from(w[2 * i + 1]) * i32::from(x[2 * i + 1]);
        }
        acc
    }

    #[inline(always)]
    fn fma_i(self, i: Self::I, scale: f32, acc: Lanes) -> Lanes {
        let mut out = acc;
        for (out, i) in out.0.iter_mut().zip(i) {
            *out = mul_add(i as f32, scale, *out);
        }
        out
    }

    #[inline(always)]
    fn sum_p(self, x: Lanes) -> f32 {
        self.sum(x)
    }
}
