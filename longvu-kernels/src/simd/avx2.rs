//! AVX2 with FMA and F16C: a vector is two registers.

use super::{BLOCK, Kernel, LANES, Simd, Tile};
use core::arch::x86_64::*;

/// Proof that the machine has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let present =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        present.then_some(Self(()))
    }
}

/// # Safety
/// The machine has to have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn run<K: Kernel>(token: Avx2, kernel: K) -> K::Out {
    kernel.run(token)
}

/// Evaluates intrinsics.
macro_rules! avx2 {
    ($body:expr) => {
        // SAFETY: an `Avx2` exists only after its instructions were detected, and every pointer below comes from a
        // reference to an array of the size that is read or written.
        unsafe { $body }
    };
}

/// Adds eight lanes, in the order of the halves.
#[inline(always)]
fn sum8(x: __m256) -> f32 {
    avx2!({
        let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    })
}

/// Adds eight lanes of four registers.
#[inline(always)]
pub(super) fn sum4(x: [__m256; 4]) -> [f32; 4] {
    avx2!({
        let pairs = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
        let sums = _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps::<1>(pairs));
        let mut out = [0.0; 4];
        _mm_storeu_ps(out.as_mut_ptr(), sums);
        out
    })
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type W = [__m256i; 2];
    type I = __m256i;
    type P = __m256;

    const TILE: Tile = Tile::Rows6Vectors1;
    const NEAR: usize = 1 << 14;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        avx2!([_mm256_set1_ps(x); 2])
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        avx2!([_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))])
    }

    #[inline(always)]
    fn store(self, out: &mut [f32; LANES], x: Self::F) {
        avx2!({
            _mm256_storeu_ps(out.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), x[1]);
        });
    }

    #[inline(always)]
    fn prefetch<T>(self, x: &T, bytes: usize) {
        avx2!(_mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(x).cast::<i8>().wrapping_add(bytes)));
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F {
        avx2!([
            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(8).cast())),
        ])
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F {
        avx2!({
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(8).cast()));
            [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high))]
        })
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        avx2!([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        avx2!([_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])])
    }

    #[inline(always)]
    fn abs(self, x: Self::F) -> Self::F {
        avx2!({
            let sign = _mm256_set1_ps(-0.0);
            [_mm256_andnot_ps(sign, x[0]), _mm256_andnot_ps(sign, x[1])]
        })
    }

    #[inline(always)]
    fn select_positive(self, x: Self::F, a: Self::F, b: Self::F) -> Self::F {
        avx2!({
            let zero = _mm256_setzero_ps();
            [
                _mm256_blendv_ps(b[0], a[0], _mm256_cmp_ps::<_CMP_GT_OQ>(x[0], zero)),
                _mm256_blendv_ps(b[1], a[1], _mm256_cmp_ps::<_CMP_GT_OQ>(x[1], zero)),
            ]
        })
    }

    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        avx2!([_mm256_round_ps::<NEAREST>(x[0]), _mm256_round_ps::<NEAREST>(x[1])])
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::F) -> Self::F {
        avx2!({
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_add_epi32(_mm256_cvtps_epi32(n[0]), bias);
            let high = _mm256_add_epi32(_mm256_cvtps_epi32(n[1]), bias);
            [_mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)), _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high))]
        })
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        avx2!(sum8(_mm256_add_ps(x[0], x[1])))
    }

    #[inline(always)]
    fn sum4(self, x: [Self::F; 4]) -> [f32; 4] {
        avx2!({
            sum4([
                _mm256_add_ps(x[0][0], x[0][1]),
                _mm256_add_ps(x[1][0], x[1][1]),
                _mm256_add_ps(x[2][0], x[2][1]),
                _mm256_add_ps(x[3][0], x[3][1]),
            ])
        })
    }

    #[inline(always)]
    fn max_lane(self, x: Self::F) -> f32 {
        avx2!({
            let eight = _mm256_max_ps(x[0], x[1]);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn widen_i8(self, x: &[i8; BLOCK]) -> Self::W {
        avx2!([
            _mm256_cvtepi8_epi16(_mm_loadu_si128(x.as_ptr().cast())),
            _mm256_cvtepi8_epi16(_mm_loadu_si128(x.as_ptr().add(16).cast())),
        ])
    }

    #[inline(always)]
    fn widen_u4(self, x: &[u8; BLOCK / 2]) -> Self::W {
        avx2!({
            let bytes = _mm256_cvtepu8_epi16(_mm_loadu_si128(x.as_ptr().cast()));
            [_mm256_and_si256(bytes, _mm256_set1_epi16(15)), _mm256_srli_epi16::<4>(bytes)]
        })
    }

    #[inline(always)]
    fn zero_i(self) -> Self::I {
        avx2!(_mm256_setzero_si256())
    }

    #[inline(always)]
    fn zero_p(self) -> Self::P {
        avx2!(_mm256_setzero_ps())
    }

    #[inline(always)]
    fn dot_i(self, w: Self::W, x: &[i16; BLOCK], acc: Self::I) -> Self::I {
        avx2!({
            let low = _mm256_madd_epi16(w[0], _mm256_loadu_si256(x.as_ptr().cast()));
            let high = _mm256_madd_epi16(w[1], _mm256_loadu_si256(x.as_ptr().add(16).cast()));
            _mm256_add_epi32(_mm256_add_epi32(low, high), acc)
        })
    }

    #[inline(always)]
    fn fma_i(self, i: Self::I, scale: f32, acc: Self::P) -> Self::P {
        avx2!(_mm256_fmadd_ps(_mm256_cvtepi32_ps(i), _mm256_set1_ps(scale), acc))
    }

    #[inline(always)]
    fn sum_p(self, x: Self::P) -> f32 {
        sum8(x)
    }

    #[inline(always)]
    fn transpose(self, block: &mut [[u32; LANES]; LANES]) {
        // The quarters on the diagonal stay, the others change places.
        for [row, column] in [[0, 0], [8, 8]] {
            let quarter = transpose8(load8(block, row, column));
            store8(block, row, column, quarter);
        }
        let (right, lower) = (transpose8(load8(block, 0, 8)), transpose8(load8(block, 8, 0)));
        store8(block, 0, 8, lower);
        store8(block, 8, 0, right);
    }
}

/// A quarter of a block of words.
#[inline(always)]
fn load8(block: &[[u32; LANES]; LANES], row: usize, column: usize) -> [__m256; 8] {
    let half: [&[u32; 8]; 8] = core::array::from_fn(|i| &block[row + i].as_chunks().0[column / 8]);
    avx2!(half.map(|words| _mm256_loadu_ps(words.as_ptr().cast())))
}

#[inline(always)]
fn store8(block: &mut [[u32; LANES]; LANES], row: usize, column: usize, quarter: [__m256; 8]) {
    for (out, x) in block[row..].iter_mut().zip(quarter) {
        let out: &mut [u32; 8] = &mut out.as_chunks_mut().0[column / 8];
        avx2!(_mm256_storeu_ps(out.as_mut_ptr().cast(), x));
    }
}

/// Eight rows of eight words to columns.
#[inline(always)]
fn transpose8(a: [__m256; 8]) -> [__m256; 8] {
    avx2!({
        let mut b = a;
        for i in 0..4 {
            b[2 * i] = _mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]);
            b[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]);
        }
        // Half h of c[4 i + j] holds column 4 h + j of rows 4 i to 4 i + 3.
        let mut c = b;
        for i in 0..2 {
            for j in 0..2 {
                let (low, high) = (b[4 * i + j], b[4 * i + 2 + j]);
                c[4 * i + 2 * j] = _mm256_shuffle_ps::<0x44>(low, high);
                c[4 * i + 2 * j + 1] = _mm256_shuffle_ps::<0xee>(low, high);
            }
        }
        for j in 0..4 {
            b[j] = _mm256_permute2f128_ps::<0x20>(c[j], c[4 + j]);
            b[4 + j] = _mm256_permute2f128_ps::<0x31>(c[j], c[4 + j]);
        }
        b
    })
}
