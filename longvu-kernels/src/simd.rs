//! Sixteen-lane vectors, in the widest instructions that the machine has.
//!
//! Every kernel is written once, over [`Simd`], and compiled three times: for AVX-512, for AVX2 with FMA and F16C, and
//! over plain arrays that the compiler vectorises for whatever it targets. A vector has sixteen `f32` lanes at every
//! level (one, two or more registers), so that loads take `&[f32; 16]` and stay safe.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::isa::Isa;
#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
use portable::Portable;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Something on cache lines of its own: vectors that straddle two are read at half the speed.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Aligned<T>(pub T);

/// Quantised weights that one [`Simd::W`] holds.
pub(crate) const BLOCK: usize = 32;

/// The attention tile that suits a level's registers: `rows` broadcast operands times `vectors` of lanes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tile {
    /// Eight rows by two vectors: 16 of 32 registers.
    Rows8Vectors2,
    /// Six rows by one vector of two registers: 12 of 16 registers.
    Rows6Vectors1,
    /// Four rows by one vector.
    Rows4Vectors1,
}

/// The bits of the nearest bfloat16. Ties go to even, a NaN stays one.
#[inline(always)]
pub(crate) fn nearest_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    (if x.is_nan() { bits | 0x40_0000 } else { nearest }) >> 16
}

/// Gives `read` the first elements, with defaults beyond the last.
#[inline(always)]
pub(crate) fn with_chunk<T: Copy + Default, R, const N: usize>(elements: &[T], read: impl FnOnce(&[T; N]) -> R) -> R {
    match elements.first_chunk() {
        Some(chunk) => read(chunk),
        None => {
            let mut chunk = [T::default(); N];
            chunk[..elements.len()].copy_from_slice(elements);
            read(&chunk)
        }
    }
}

/// Operations on sixteen lanes. A value of the type is the proof that the machine has the instructions.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Sixteen `f32`.
    type F: Copy;
    /// [`BLOCK`] integer weights, widened to 16 bits.
    type W: Copy;
    /// 32-bit sums of products.
    type I: Copy;
    /// As many `f32` as [`Simd::I`] has lanes.
    type P: Copy;

    /// The attention tile.
    const TILE: Tile;
    /// Bytes of activations that stay near while weights pass by: half of the first cache, or, on machines with AVX-512,
    /// a part of the second, which is large and feeds wide loads.
    const NEAR: usize;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; LANES]) -> Self::F;
    fn store(self, out: &mut [f32; LANES], x: Self::F);
    /// Asks for the cache line `bytes` after the start of `x`, which may lie outside of it.
    fn prefetch<T>(self, x: &T, bytes: usize);
    /// IEEE half precision, as bits.
    fn load_f16(self, x: &[u16; LANES]) -> Self::F;
    /// bfloat16, as bits.
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F;

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`; fused where the machine fuses.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `if a > b { a } else { b }`: a NaN in `b` comes through.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a < b { a } else { b }`: a NaN in `b` comes through.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn abs(self, x: Self::F) -> Self::F;
    /// `if x > 0 { a } else { b }`.
    fn select_positive(self, x: Self::F, a: Self::F, b: Self::F) -> Self::F;
    /// The nearest integer, of values below 2^22.
    fn round(self, x: Self::F) -> Self::F;
    /// 2^n of integers from -127 (gives 0) to 128 (gives infinity).
    fn power_of_two(self, n: Self::F) -> Self::F;
    /// `x` times 2^n of integers that are at least -127.
    #[inline(always)]
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F {
        self.mul(x, self.power_of_two(n))
    }
    fn sum(self, x: Self::F) -> f32;
    /// The sums of four vectors.
    fn sum4(self, x: [Self::F; 4]) -> [f32; 4];
    /// The greatest lane; of NaN lanes nothing is promised.
    fn max_lane(self, x: Self::F) -> f32;

    fn widen_i8(self, x: &[i8; BLOCK]) -> Self::W;
    /// Byte `j` holds weight `j` in its low half and weight `j + 16` in its high half.
    fn widen_u4(self, x: &[u8; BLOCK / 2]) -> Self::W;
    fn zero_i(self) -> Self::I;
    fn zero_p(self) -> Self::P;
    /// Adds the products of 32 weights and 32 activations, in some order of lanes.
    fn dot_i(self, w: Self::W, x: &[i16; BLOCK], acc: Self::I) -> Self::I;
    /// `i * scale + acc`.
    fn fma_i(self, i: Self::I, scale: f32, acc: Self::P) -> Self::P;
    fn sum_p(self, x: Self::P) -> f32;

    /// Turns rows of words into columns.
    #[inline(always)]
    fn transpose(self, block: &mut [[u32; LANES]; LANES]) {
        for row in 1..LANES {
            for column in 0..row {
                let upper = block[column][row];
                block[column][row] = block[row][column];
                block[row][column] = upper;
            }
        }
    }

    /// The nearest bfloat16 of pairs of values, the first of a pair in the lower half; ties go to even, a NaN stays one.
    #[inline(always)]
    fn round_bf16(self, x: &[f32; 2 * LANES], out: &mut [u32; LANES]) {
        for (out, pair) in out.iter_mut().zip(x.as_chunks::<2>().0) {
            *out = nearest_bf16(pair[0]) | nearest_bf16(pair[1]) << 16;
        }
    }

    /// Pairs of the nearest bfloat16, as [`Simd::round_bf16`]: of lanes of two vectors (`ACROSS`), or of neighbours in both.
    ///
    /// # Safety
    /// It runs in [`Level::run_bf16`].
    #[inline(always)]
    unsafe fn pair_bf16<const ACROSS: bool>(self, x: [Self::F; 2], out: &mut [u32; LANES]) {
        let mut rows = [[0.0; LANES]; 2];
        for (row, x) in rows.iter_mut().zip(x) {
            self.store(row, x);
        }
        if ACROSS {
            for (lane, out) in out.iter_mut().enumerate() {
                *out = nearest_bf16(rows[0][lane]) | nearest_bf16(rows[1][lane]) << 16;
            }
        } else if let Some(row) = rows.as_flattened().as_array() {
            self.round_bf16(row, out);
        }
    }

    /// `acc + low * low + high * high` of pairs of bfloat16, a pair to a word; the pair `factor` is for all lanes.
    ///
    /// # Safety
    /// It runs in [`Level::run_bf16`].
    #[inline(always)]
    unsafe fn dot_bf16(self, line: &[u32; LANES], factor: u32, acc: Self::F) -> Self::F {
        let (low, high) =
            (line.map(|word| f32::from_bits(word << 16)), line.map(|word| f32::from_bits(word & !0xffff)));
        let acc = self.fma(self.load(&low), self.splat(f32::from_bits(factor << 16)), acc);
        self.fma(self.load(&high), self.splat(f32::from_bits(factor & !0xffff)), acc)
    }

    /// The nearest integers of values times a factor, those of the first half with the first one, plus 128 and four to a
    /// word. Products lie within -128 and 127.
    #[inline(always)]
    fn quantize_u8(self, x: &[f32; 4 * LANES], factors: [f32; 2], out: &mut [u32; LANES]) {
        // Adding it leaves an integer in the lowest bits.
        const INTEGERS: f32 = 12_582_912.0;
        for (i, (out, x)) in out.iter_mut().zip(x.as_chunks::<4>().0).enumerate() {
            let factor = factors[2 * i / LANES];
            let code = x.map(|x| ((x * factor + INTEGERS).to_bits() & 0xff) ^ 0x80);
            *out = code[0] | code[1] << 8 | code[2] << 16 | code[3] << 24;
        }
    }

    /// Two blocks of 4-bit codes as bytes, less `base`, four to a word. Of a block's 16 bytes the low halves come first.
    #[inline(always)]
    fn widen_nibbles(self, x: &[u8; BLOCK], base: u8, out: &mut [u32; LANES]) {
        let mut bytes = [0; 2 * BLOCK];
        for (out, x) in bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(x.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                out[i] = (x[i] & 15).wrapping_sub(base);
                out[i + LANES] = (x[i] >> 4).wrapping_sub(base);
            }
        }
        for (out, &quad) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *out = u32::from_le_bytes(quad);
        }
    }

    /// Up to sixteen values, the other lanes being `fill`.
    #[inline(always)]
    fn load_part(self, x: &[f32], fill: f32) -> Self::F {
        let mut lanes = [fill; LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.load(&lanes)
    }

    /// The first `out.len()` lanes.
    #[inline(always)]
    fn store_part(self, out: &mut [f32], x: Self::F) {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes, x);
        out.copy_from_slice(&lanes[..out.len()]);
    }
}

/// Work to be compiled for every level. `run` has to be `#[inline(always)]`, and to reach its vectors through functions
/// that are, so that the code lands in a function with the level's instructions enabled.
pub(crate) trait Kernel {
    type Out;
    fn run<S: Simd>(self, s: S) -> Self::Out;
}

/// An instruction set that this machine has.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// The widest that is used.
    pub(crate) fn best() -> Self {
        Self::of(Isa::used())
    }

    /// The widest that `isa` includes.
    pub(crate) fn of(isa: Isa) -> Self {
        match isa {
            Isa::Portable => Self::Portable,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => Avx2::detect().map_or(Self::Portable, Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            _ => Avx512::detect().map_or(Self::Portable, Self::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            _ => Self::Portable,
        }
    }

    /// Every level of this machine, for tests.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(Avx2::detect().map(Self::Avx2));
            levels.extend(Avx512::detect().map(Self::Avx512));
        }
        levels
    }

    /// [`Level::run`] with instructions for bfloat16 where the level has registers for them.
    ///
    /// # Safety
    /// A machine whose level is AVX-512 has AVX-512 BF16 too.
    #[inline]
    pub(crate) unsafe fn run_bf16<K: Kernel>(self, kernel: K) -> K::Out {
        match self {
            // SAFETY: the caller promises what the token does not.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => unsafe { avx512::run_bf16(token, kernel) },
            _ => self.run(kernel),
        }
    }

    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Out {
        match self {
            Self::Portable => kernel.run(Portable),
            // SAFETY: the tokens exist only where their instructions were detected.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => unsafe { avx2::run(token, kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => unsafe { avx512::run(token, kernel) },
        }
    }
}
