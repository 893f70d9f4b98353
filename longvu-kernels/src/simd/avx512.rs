//! AVX-512: a vector is one register.

use super::avx2::sum4;
use super::{BLOCK, Kernel, LANES, Simd, Tile};
use core::arch::x86_64::*;

/// Proof that the machine has AVX-512 F, BW and VL, and what [`Avx2`](super::avx2::Avx2) asks for.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let present = super::avx2::Avx2::detect().is_some()
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        present.then_some(Self(()))
    }
}

/// # Safety
/// The machine has to have AVX-512 F, BW and VL, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(token: Avx512, kernel: K) -> K::Out {
    kernel.run(token)
}

/// # Safety
/// As [`run`], and the machine has to have AVX-512 BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(super) unsafe fn run_bf16<K: Kernel>(token: Avx512, kernel: K) -> K::Out {
    kernel.run(token)
}

/// Evaluates intrinsics.
macro_rules! avx512 {
    ($body:expr) => {
        // SAFETY: an `Avx512` exists only after its instructions were detected, and every pointer below comes from a
        // reference to an array of the size that is read or written.
        unsafe { $body }
    };
}

/// Takes words of 16 bits from the lower and the upper half in turn.
const ALTERNATING: [u16; 2 * LANES] = {
    let mut order = [0; 2 * LANES];
    let mut i = 0;
    while i < LANES {
        (order[2 * i], order[2 * i + 1]) = (i as u16, (i + LANES) as u16);
        i += 1;
    }
    order
};

/// Adds the upper half to the lower.
#[inline(always)]
fn halve(x: __m512) -> __m256 {
    avx512!({
        let upper = _mm512_extracti64x4_epi64::<1>(_mm512_castps_si512(x));
        _mm256_add_ps(_mm512_castps512_ps256(x), _mm256_castsi256_ps(upper))
    })
}

impl Simd for Avx512 {
    type F = __m512;
    type W = __m512i;
    type I = __m512i;
    type P = __m512;

    const TILE: Tile = Tile::Rows8Vectors2;
    const NEAR: usize = 1 << 17;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        avx512!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        avx512!(_mm512_loadu_ps(x.as_ptr()))
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES], x: Self::F) {
        avx512!(_mm512_storeu_ps(out.as_mut_ptr(), x));
    }

    #[inline(always)]
    fn prefetch<T>(self, x: &T, bytes: usize) {
        avx512!(_mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(x).cast::<i8>().wrapping_add(bytes)));
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F {
        avx512!(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())))
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F {
        avx512!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        avx512!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        avx512!(_mm512_abs_ps(x))
    }

    #[inline(always)]
    fn select_positive(self, x: Self::F, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps()), b, a))
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        avx512!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::F) -> Self::F {
        avx512!({
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        })
    }

    #[inline(always)]
    fn scale_by_power(self, x: Self::F, n: Self::F) -> Self::F {
        avx512!(_mm512_scalef_ps(x, n))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        avx512!(_mm512_reduce_add_ps(x))
    }

    #[inline(always)]
    fn sum4(self, x: [Self::F; 4]) -> [f32; 4] {
        sum4([halve(x[0]), halve(x[1]), halve(x[2]), halve(x[3])])
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        avx512!(_mm512_reduce_max_ps(x))
    }

    #[inline(always)]
    fn widen_i8(self, x: &[i8; BLOCK]) -> Self::W {
        avx512!(_mm512_cvtepi8_epi16(_mm256_loadu_si256(x.as_ptr().cast())))
    }

    #[inline(always)]
    fn widen_u4(self, x: &[u8; BLOCK / 2]) -> Self::W {
        avx512!({
            let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(x.as_ptr().cast()));
            let low = _mm256_and_si256(bytes, _mm256_set1_epi16(15));
            _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), _mm256_srli_epi16::<4>(bytes))
        })
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        avx512!(_mm512_setzero_si512())
    }

    #[inline(always)]
    fn zero_p(self) -> Self::P {
        avx512!(_mm512_setzero_ps())
    }

    #[inline(always)]
    fn dot_i(self, w: Self::W, x: &[i16; BLOCK], acc: Self::I) -> Self::I {
        avx512!(_mm512_add_epi32(_mm512_madd_epi16(w, _mm512_loadu_si512(x.as_ptr().cast())), acc))
    }

    #[inline(always)]
    fn fma_i(self, i: Self::I, scale: f32, acc: Self::P) -> Self::P {
        avx512!(_mm512_fmadd_ps(_mm512_cvtepi32_ps(i), _mm512_set1_ps(scale), acc))
    }

    #[inline(always)]
    fn sum_p(self, x: Self::P) -> f32 {
        self.sum(x)
    }

    #[inline(always)]
    fn transpose(self, block: &mut [[u32; LANES]; LANES]) {
        avx512!({
            let mut a = [_mm512_setzero_si512(); LANES];
            let mut b = a;
            for i in 0..LANES {
                a[i] = _mm512_loadu_si512(block[i].as_ptr().cast());
            }
            for i in 0..LANES / 2 {
                b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
                b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
            }
            for i in 0..LANES / 4 {
                a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
                a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
                a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
                a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
            }
            // Quarter q of a[4 i + j] now holds column 4 q + j of rows 4 i to 4 i + 3.
            for j in 0..4 {
                let low = _mm512_shuffle_i32x4::<0x88>(a[j], a[4 + j]);
                let high = _mm512_shuffle_i32x4::<0x88>(a[8 + j], a[12 + j]);
                b[j] = _mm512_shuffle_i32x4::<0x88>(low, high);
                b[8 + j] = _mm512_shuffle_i32x4::<0xdd>(low, high);
                let low = _mm512_shuffle_i32x4::<0xdd>(a[j], a[4 + j]);
                let high = _mm512_shuffle_i32x4::<0xdd>(a[8 + j], a[12 + j]);
                b[4 + j] = _mm512_shuffle_i32x4::<0x88>(low, high);
                b[12 + j] = _mm512_shuffle_i32x4::<0xdd>(low, high);
            }
            for i in 0..LANES {
                _mm512_storeu_si512(block[i].as_mut_ptr().cast(), b[i]);
            }
        });
    }

    #[inline(always)]
    fn quantize_u8(self, x: &[f32; 4 * LANES], factors: [f32; 2], out: &mut [u32; LANES]) {
        avx512!({
            for i in 0..4 {
                let scaled = _mm512_mul_ps(_mm512_loadu_ps(x.as_ptr().add(i * LANES)), _mm512_set1_ps(factors[i / 2]));
                let codes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(scaled));
                let codes = _mm_xor_si128(codes, _mm_set1_epi8(i8::MIN));
                _mm_storeu_si128(out.as_mut_ptr().add(4 * i).cast(), codes);
            }
        });
    }

    #[inline(always)]
    unsafe fn pair_bf16<const ACROSS: bool>(self, [low, high]: [Self::F; 2], out: &mut [u32; LANES]) {
        // SAFETY: `run_bf16` has the instruction, and the pointer is of as many words as are written.
        unsafe {
            let mut pairs: __m512i = core::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            if ACROSS {
                pairs = _mm512_permutexvar_epi16(_mm512_loadu_si512(ALTERNATING.as_ptr().cast()), pairs);
            }
            _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs);
        }
    }

    #[inline(always)]
    unsafe fn dot_bf16(self, line: &[u32; LANES], factor: u32, acc: Self::F) -> Self::F {
        // SAFETY: `run_bf16` has the instruction; any bits are pairs of bfloat16.
        unsafe {
            let line: __m512bh = core::mem::transmute(_mm512_loadu_si512(line.as_ptr().cast()));
            let factor: __m512bh = core::mem::transmute(_mm512_set1_epi32(factor.cast_signed()));
            _mm512_dpbf16_ps(acc, line, factor)
        }
    }
}
