//! Tiles in registers of 512 bits.

use super::integers::{QuantRows, QuantTile};
use super::lines::Line;
use super::{MAX_TILE_ROWS, OUTPUTS, Target};
use crate::simd::LANES;
use core::arch::x86_64::*;

/// Calls a function of a constant number of rows.
macro_rules! of_rows {
    ($function:ident, $rows:expr, $arguments:tt, [$($count:literal)*]) => {
        match $rows {
            $($count => {
                // SAFETY: the machine has the instructions, the lengths were compared, and the output is valid for the tile.
                unsafe { $function::<$count> $arguments }
            })*
            _ => {}
        }
    };
}

/// Tiles of words that are broadcast, and of lines.
macro_rules! dense_tile {
    ($(#[$doc:meta])* $name:ident, $rows_of:ident, $features:literal, $load:expr, $broadcast:expr, $dot:expr) => {
        $(#[$doc])*
        pub(crate) unsafe fn $name(x: &[u32], halves: [&[Line]; 2], rows: usize, out: Target) {
            assert!(rows <= MAX_TILE_ROWS && halves.iter().all(|half| x.len() == rows * half.len()), "{rows} rows");
            of_rows!($rows_of, rows, (x, halves, out), [1 2 3 4 5 6 7 8 9 10 11 12 13 14]);
        }

        #[target_feature(enable = $features)]
        unsafe fn $rows_of<const R: usize>(x: &[u32], halves: [&[Line]; 2], out: Target) {
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
                    let weights = [$load(low), $load(high)];
                    for r in 0..R {
                        let factor = $broadcast(*x.add(r));
                        for v in 0..2 {
                            sums[r][v] = $dot(sums[r][v], weights[v], factor);
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
    };
}

dense_tile! {
    /// Multiplies a tile of up to [`MAX_TILE_ROWS`] rows: x `[words, rows]`, weights two halves `[words]`, words being pairs
    /// of bfloat16.
    ///
    /// # Safety
    /// The machine has AVX-512 F and BF16, and `out` is valid for the tile.
    bf16_tile, bf16_rows, "avx512f,avx512bf16",
    |line: *const Line| bf16(_mm512_loadu_si512(line.cast())),
    |word: u32| bf16(_mm512_set1_epi32(word.cast_signed())),
    |sum, weights, factor| _mm512_dpbf16_ps(sum, weights, factor)
}

dense_tile! {
    /// Multiplies a tile of up to [`MAX_TILE_ROWS`] rows: x `[words, rows]`, weights two halves `[words]`, words being bits
    /// of `f32`.
    ///
    /// # Safety
    /// The machine has AVX-512 F, and `out` is valid for the tile.
    f32_tile, f32_rows, "avx512f",
    |line: *const Line| _mm512_loadu_ps(line.cast()),
    |word: u32| _mm512_set1_ps(f32::from_bits(word)),
    |sum, weights, factor| _mm512_fmadd_ps(weights, factor, sum)
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
    of_rows!(int8_rows, x.rows, (x, weights, out), [1 2 3 4 5 6]);
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
                    // Scales first: a sum of integers times that of great activations alone may be infinite.
                    let scale = _mm512_mul_ps(scale, scales[v]);
                    sums[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[r][v]), scale, sums[r][v]);
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
