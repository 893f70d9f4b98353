//! Tiles in registers of 256 bits, half a tile of outputs at a time.

use super::Target;
use super::integers::{QuantRows, QuantTile};
use super::lines::Line;
use crate::simd::LANES;
use core::arch::x86_64::*;

/// Rows of a tile with AVX-VNNI: of 16 registers 12 are sums.
pub(crate) const VNNI_ROWS: usize = 6;

/// Rows of a tile without it: 8 are sums.
pub(crate) const PAIRS_ROWS: usize = 4;

macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $rows_of:ident, $features:literal, $most:ident, [$($rows:literal)*],
     $starts:expr, $factor:expr, $weights:expr, $dot:expr) => {
        $(#[$doc])*
        pub(crate) unsafe fn $name(x: QuantRows<'_>, weights: QuantTile<'_>, out: Target) {
            weights.check(&x, $most);
            match x.rows {
                $($rows => {
                    // SAFETY: as the caller promises; the lengths were compared.
                    unsafe { $rows_of::<$rows>(x, weights, out) }
                })*
                _ => {}
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn $rows_of<const R: usize>(x: QuantRows<'_>, weights: QuantTile<'_>, out: Target) {
            for half in 0..2 {
                let (mut codes, mut line) = (x.codes.as_ptr(), weights.codes[half].as_ptr());
                for g in 0..weights.scales[half].len() {
                    // SAFETY: lengths are those that `check` compared, and `out` is valid for R rows of a tile.
                    unsafe {
                        let mut products: [[__m256i; 2]; R] = [($starts)(&weights.starts[half][g]); R];
                        for _ in 0..weights.group {
                            let lines: [__m256i; 2] = [0, 1].map(|v| _mm256_loadu_si256(line.cast::<__m256i>().add(v)));
                            let prepared = lines.map($weights);
                            for r in 0..R {
                                let factor = ($factor)(*codes.add(r));
                                for v in 0..2 {
                                    products[r][v] = ($dot)(products[r][v], prepared[v], lines[v], factor);
                                }
                            }
                            (codes, line) = (codes.add(R), line.add(1));
                        }
                        let scales = load(&weights.scales[half][g]);
                        let offsets = weights.offsets[half].get(g).map(|offsets| load(offsets));
                        for r in 0..R {
                            let scale = _mm256_set1_ps(x.scales[g * R + r]);
                            for v in 0..2 {
                                let sum = out.first.add(r * out.stride + half * LANES + v * LANES / 2);
                                let before = if g > 0 || out.add { _mm256_loadu_ps(sum) } else { _mm256_setzero_ps() };
                                let scale = _mm256_mul_ps(scale, scales[v]);
                                let mut after = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products[r][v]), scale, before);
                                if let Some(offsets) = offsets {
                                    after = _mm256_fmadd_ps(_mm256_set1_ps(x.sums[g * R + r]), offsets[v], after);
                                }
                                _mm256_storeu_ps(sum, after);
                            }
                        }
                    }
                }
            }
        }
    };
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &[f32; LANES]) -> [__m256; 2] {
    // SAFETY: both halves lie in the array.
    unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(LANES / 2))] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_i(x: &[i32; LANES]) -> [__m256i; 2] {
    // SAFETY: both halves lie in the array.
    unsafe { [_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().add(LANES / 2).cast())] }
}

tile! {
    /// Multiplies a tile of up to [`VNNI_ROWS`] rows.
    ///
    /// # Safety
    /// The machine has AVX2, FMA and AVX-VNNI, and `out` is valid for the tile.
    int8_tile_vnni, int8_rows_vnni, "avx2,fma,avxvnni", VNNI_ROWS, [1 2 3 4 5 6],
    |starts| load_i(starts),
    |word: u32| _mm256_set1_epi32(word.cast_signed()),
    |line| line,
    |sum, _, line, factor| _mm256_dpbusd_avx_epi32(sum, factor, line)
}

tile! {
    /// Multiplies a tile of up to [`PAIRS_ROWS`] rows. Pairs of products are added in 16 bits, where unsigned codes of
    /// activations would overflow. So weights give their sign to the signed codes: 2 * 128 * 127 fits.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA, and `out` is valid for the tile.
    int8_tile_pairs, int8_rows_pairs, "avx2,fma", PAIRS_ROWS, [1 2 3 4],
    |_| [_mm256_setzero_si256(); 2],
    |word: u32| _mm256_set1_epi32((word ^ 0x8080_8080).cast_signed()),
    |line| _mm256_abs_epi8(line),
    |sum, size, line, factor| {
        let pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(factor, line));
        _mm256_add_epi32(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)), sum)
    }
}

/// Rows of a tile of `f32`: of 16 registers 12 are sums.
pub(crate) const F32_ROWS: usize = 6;

/// Multiplies a tile of up to [`F32_ROWS`] rows: x `[words, rows]`, weights two halves `[words]`, words being bits of `f32`.
///
/// # Safety
/// The machine has AVX2 and FMA, and `out` is valid for the tile.
pub(crate) unsafe fn f32_tile(x: &[u32], halves: [&[Line]; 2], rows: usize, out: Target) {
    assert!(rows <= F32_ROWS && halves.iter().all(|half| x.len() == rows * half.len()), "{rows} rows");
    for (half, lines) in halves.into_iter().enumerate() {
        let out = Target { first: out.first.wrapping_add(half * LANES), ..out };
        // SAFETY: as the caller promises; the lengths were compared.
        unsafe {
            match rows {
                1 => f32_rows::<1>(x, lines, out),
                2 => f32_rows::<2>(x, lines, out),
                3 => f32_rows::<3>(x, lines, out),
                4 => f32_rows::<4>(x, lines, out),
                5 => f32_rows::<5>(x, lines, out),
                6 => f32_rows::<6>(x, lines, out),
                _ => {}
            }
        }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn f32_rows<const R: usize>(x: &[u32], lines: &[Line], out: Target) {
    // SAFETY: `out` is valid for R rows of half a tile, x has R words for each line.
    unsafe {
        let mut sums = [[_mm256_setzero_ps(); 2]; R];
        if out.add {
            for r in 0..R {
                for v in 0..2 {
                    sums[r][v] = _mm256_loadu_ps(out.first.add(r * out.stride + v * LANES / 2));
                }
            }
        }
        let (mut x, mut line) = (x.as_ptr(), lines.as_ptr());
        for _ in 0..lines.len() {
            let weights = [0, 1].map(|v| _mm256_loadu_ps(line.cast::<f32>().add(v * LANES / 2)));
            for r in 0..R {
                let factor = _mm256_set1_ps(f32::from_bits(*x.add(r)));
                for v in 0..2 {
                    sums[r][v] = _mm256_fmadd_ps(weights[v], factor, sums[r][v]);
                }
            }
            (x, line) = (x.add(R), line.add(1));
        }
        for r in 0..R {
            for v in 0..2 {
                _mm256_storeu_ps(out.first.add(r * out.stride + v * LANES / 2), sums[r][v]);
            }
        }
    }
}
