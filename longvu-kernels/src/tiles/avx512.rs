//! Tiles in registers of 512 bits.

use super::integers::{QuantRows, QuantTile};
use super::lines::Line;
use super::{MAX_TILE_ROWS, OUTPUTS, Target};
use crate::simd::LANES;
use core::arch::x86_64::*;

/// Multiplies a tile of up to [`MAX_TILE_ROWS`] rows: x `[words, rows]`, weights two halves `[words]`, words being pairs of
/// bfloat16.
///
/// # Safety
/// The machine has AVX-512 F and BF16, and `out` is valid for the tile.
pub(crate) unsafe fn bf16_tile(x: &[u32], halves: [&[Line]; 2], rows: usize, out: Target) {
    assert!(rows <= MAX_TILE_ROWS && x.len() == rows * halves[0].len() && halves[0].len() == halves[1].len());
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            match rows {
                $($rows => {
                    // SAFETY: as the caller promises; the lengths were compared.
                    unsafe { bf16_rows::<$rows>(x, halves, out) }
                })*
                _ => {}
            }
        };
    }
    dispatch!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// # Safety
/// As [`bf16_tile`], for `R` rows.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn bf16_rows<const R: usize>(x: &[u32], halves: [&[Line]; 2], out: Target) {
    // SAFETY: `out` is valid for R rows of OUTPUTS, x has R words for each word of both halves.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        if out.add {
            for r in 0..R {
                for v in 0..2 {
                    sums[r][v] = _mm512_loadu_ps(out.first.add(r * out.stride + v * LANES));
                }
            }
        }
        let mut x = x.as_ptr();
        let (mut low, mut high) = (halves[0].as_ptr(), halves[1].as_ptr());
        for _ in 0..halves[0].len() {
            let weights = [low, high].map(|line| bf16(_mm512_loadu_si512(line.cast())));
            for r in 0..R {
                let factor = bf16(_mm512_set1_epi32((*x.add(r)).cast_signed()));
                for v in 0..2 {
                    sums[r][v] = _mm512_dpbf16_ps(sums[r][v], weights[v], factor);
                }
            }
            (x, low, high) = (x.add(R), low.add(1), high.add(1));
        }
        for r in 0..R {
            for v in 0..2 {
                _mm512_storeu_ps(out.first.add(r * out.stride + v * LANES), sums[r][v]);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, of which any are valid.
    unsafe { core::mem::transmute(bits) }
}

/// Rows of a tile of quantised operands: of 32 registers, 12 are sums of integers and 12 of floats.
pub(crate) const INT8_ROWS: usize = 6;

/// Multiplies a tile of up to [`INT8_ROWS`] rows.
///
/// # Safety
/// The machine has AVX-512 F and VNNI, and `out` is valid for the tile.
pub(crate) unsafe fn int8_tile(x: QuantRows<'_>, weights: QuantTile<'_>, out: Target) {
    weights.check(&x, INT8_ROWS);
    macro_rules! dispatch {
        ($($rows:literal)*) => {
            match x.rows {
                $($rows => {
                    // SAFETY: as the caller promises; the lengths were compared.
                    unsafe { int8_rows::<$rows>(x, weights, out) }
                })*
                _ => {}
            }
        };
    }
    dispatch!(1 2 3 4 5 6);
}

/// # Safety
/// As [`int8_tile`], for `R` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn int8_rows<const R: usize>(x: QuantRows<'_>, weights: QuantTile<'_>, out: Target) {
    // SAFETY: `out` is valid for R rows of OUTPUTS, and lengths are those that `check` compared.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); 2]; R];
        if out.add {
            for r in 0..R {
                for v in 0..2 {
                    sums[r][v] = _mm512_loadu_ps(out.first.add(r * out.stride + v * LANES));
                }
            }
        }
        let mut codes = x.codes.as_ptr();
        let (mut low, mut high) = (weights.codes[0].as_ptr(), weights.codes[1].as_ptr());
        for g in 0..weights.scales[0].len() {
            let starts = weights.starts.map(|starts| _mm512_loadu_si512(starts.as_ptr().add(g).cast()));
            let mut products = [starts; R];
            for _ in 0..weights.group {
                let lines = [low, high].map(|line| _mm512_loadu_si512(line.cast()));
                for r in 0..R {
                    let factor = _mm512_set1_epi32((*codes.add(r)).cast_signed());
                    for v in 0..2 {
                        products[r][v] = _mm512_dpbusd_epi32(products[r][v], factor, lines[v]);
                    }
                }
                (codes, low, high) = (codes.add(R), low.add(1), high.add(1));
            }
            let scales = weights.scales.map(|scales| _mm512_loadu_ps(scales.as_ptr().add(g).cast()));
            for r in 0..R {
                let scale = _mm512_set1_ps(*x.scales.as_ptr().add(g * R + r));
                for v in 0..2 {
                    let product = _mm512_mul_ps(_mm512_cvtepi32_ps(products[r][v]), scale);
                    sums[r][v] = _mm512_fmadd_ps(product, scales[v], sums[r][v]);
                }
            }
            if !weights.offsets[0].is_empty() {
                let offsets = weights.offsets.map(|offsets| _mm512_loadu_ps(offsets.as_ptr().add(g).cast()));
                for r in 0..R {
                    let sum = _mm512_set1_ps(*x.sums.as_ptr().add(g * R + r));
                    for v in 0..2 {
                        sums[r][v] = _mm512_fmadd_ps(sum, offsets[v], sums[r][v]);
                    }
                }
            }
        }
        for r in 0..R {
            for v in 0..2 {
                _mm512_storeu_ps(out.first.add(r * out.stride + v * LANES), sums[r][v]);
            }
        }
    }
}

const _: () = assert!(OUTPUTS == 2 * LANES);
