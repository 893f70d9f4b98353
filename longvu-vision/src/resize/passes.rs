//! The two passes of a resize: portable, and with AVX2 where the processor has it. Results are the same to the byte.

use super::taps::{HALF, Taps, to_byte};

/// Rows that go through the horizontal pass together, to use each load of coefficients several times.
pub const ROWS: usize = 4;

/// Bytes that the vertical pass sums at once.
const BLOCK: usize = 32;

/// Bytes from one row of the horizontal pass's output to the next: whole blocks, and room for the fourth byte that is written
/// with each pixel.
pub fn stride(target: usize) -> usize {
    (target * 3 + 1).next_multiple_of(BLOCK)
}

/// Which code runs the passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// Any processor.
    Portable,
    /// Only made where the processor has AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Available),
}

impl Passes {
    /// The fastest that this processor can run.
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(available) = avx2::Available::detect() {
            return Self::Avx2(available);
        }
        Self::Portable
    }

    /// The horizontal pass with the given filter; the sum of each output position starts from its `base`, which rounds.
    pub fn horizontal<'a>(self, taps: &'a Taps, base: &'a [[i32; 3]]) -> Horizontal<'a> {
        match self {
            Self::Portable => Horizontal::Portable(taps, base),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(available) => Horizontal::Avx2(avx2::Horizontal::new(available, taps, base)),
        }
    }

    /// The vertical pass for one row of output, from rows of the horizontal pass with their coefficients.
    ///
    /// Each row has [`stride`] bytes.
    pub fn vertical<'a>(self, rows: impl Iterator<Item = (&'a [u8], i32)> + Clone, out: &mut [u8]) {
        match self {
            Self::Portable => sum_rows(rows, out),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(available) => available.sum_rows(rows, out),
        }
    }
}

/// The horizontal pass with one filter.
pub enum Horizontal<'a> {
    Portable(&'a Taps, &'a [[i32; 3]]),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Horizontal<'a>),
}

impl Horizontal<'_> {
    /// Bytes that a source row must have: its pixels, then any others, which are read but do not count.
    pub fn row_len(&self) -> usize {
        match self {
            Self::Portable(taps, _) => taps.reach(taps.width()) * 3,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(pass) => pass.row_len,
        }
    }

    /// Filters `rows`, each of [`row_len`](Self::row_len) bytes, into the same number of rows of `out`, each of `stride` bytes.
    pub fn run(&self, rows: [&[u8]; ROWS], out: &mut [u8], stride: usize) {
        match self {
            Self::Portable(taps, base) => {
                rows.iter().zip(out.chunks_mut(stride)).for_each(|(row, out)| filter_row(row, out, taps, base))
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(pass) => pass.run(rows, out, stride),
        }
    }
}

fn filter_row(row: &[u8], out: &mut [u8], taps: &Taps, base: &[[i32; 3]]) {
    let pixels = row.as_chunks::<3>().0;
    for ((x, pixel), base) in out.as_chunks_mut::<3>().0.iter_mut().take(taps.len()).enumerate().zip(base) {
        let (first, coefficients) = taps.of(x);
        let mut sums = *base;
        for (p, &c) in pixels[first..].iter().zip(coefficients) {
            (0..3).for_each(|i| sums[i] += i32::from(p[i]) * c);
        }
        *pixel = sums.map(to_byte);
    }
}

/// Sums block by block, so that the sums stay in registers. Wrapping, for a check of each would keep it from vectorising; no
/// sum of a filter overflows.
#[inline(always)]
fn sum_rows<'a>(rows: impl Iterator<Item = (&'a [u8], i32)> + Clone, out: &mut [u8]) {
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [HALF; BLOCK];
        for (row, c) in rows.clone() {
            let pixels = &row.as_chunks::<BLOCK>().0[block];
            sums.iter_mut().zip(pixels).for_each(|(sum, p)| *sum = sum.wrapping_add(i32::from(*p).wrapping_mul(c)));
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = to_byte(sum));
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! AVX2 multiplies pairs of 16-bit numbers and adds each pair: a 22-bit coefficient is cut in two, `high * 2^15 + low`,
    //! and the sums are put together at the end. They may wrap on the way; the whole fits 32 bits.

    use std::arch::x86_64::*;

    use super::{ROWS, Taps};

    /// Pixels in one step of the horizontal pass.
    const STEP: usize = 4;
    const LOW_BITS: u32 = 15;

    /// Proof that the processor has AVX2.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Available(());

    impl Available {
        pub fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx2").then_some(Self(()))
        }

        /// [`super::sum_rows`], compiled for AVX2.
        pub fn sum_rows<'a>(self, rows: impl Iterator<Item = (&'a [u8], i32)> + Clone, out: &mut [u8]) {
            #[target_feature(enable = "avx2")]
            fn compiled<'a>(rows: impl Iterator<Item = (&'a [u8], i32)> + Clone, out: &mut [u8]) {
                super::sum_rows(rows, out);
            }
            // SAFETY: `self` exists only where the processor has AVX2.
            unsafe { compiled(rows, out) }
        }
    }

    /// The coefficients of four taps, each pair three times over, for red, green and blue, and once more unused.
    #[derive(Clone, Copy)]
    struct Coefficients {
        low: __m256i,
        high: __m256i,
    }

    /// The horizontal pass with one filter.
    pub struct Horizontal<'a> {
        taps: &'a Taps,
        base: &'a [[i32; 3]],
        /// Steps of each output pixel.
        steps: usize,
        coefficients: Vec<Coefficients>,
        /// Bytes of a source row that the last steps reach.
        pub row_len: usize,
        available: Available,
    }

    impl<'a> Horizontal<'a> {
        pub fn new(available: Available, taps: &'a Taps, base: &'a [[i32; 3]]) -> Self {
            let steps = taps.width().div_ceil(STEP);
            let mut coefficients = Vec::with_capacity(taps.len() * steps);
            for x in 0..taps.len() {
                let four = |chunk: &[i32]| std::array::from_fn(|k| chunk.get(k).copied().unwrap_or(0));
                // SAFETY: `available` exists only where the processor has AVX2.
                coefficients.extend(taps.of(x).1.chunks(STEP).map(|chunk| unsafe { spread(four(chunk)) }));
            }
            // Every step loads 16 bytes, four more than its pixels have.
            Self { taps, base, steps, coefficients, row_len: taps.reach(steps * STEP) * 3 + 4, available }
        }

        pub fn run(&self, rows: [&[u8]; ROWS], out: &mut [u8], stride: usize) {
            let Available(()) = self.available;
            // SAFETY: `available` exists only where the processor has AVX2.
            unsafe { self.filter(rows, out, stride) }
        }

        #[target_feature(enable = "avx2")]
        fn filter(&self, rows: [&[u8]; ROWS], out: &mut [u8], stride: usize) {
            assert!(rows.iter().all(|row| row.len() >= self.row_len), "rows are as long as the last step reaches");
            for ((x, coefficients), base) in self.coefficients.chunks_exact(self.steps).enumerate().zip(self.base) {
                let base = _mm_setr_epi32(base[0], base[1], base[2], 0);
                let mut low = [_mm256_setzero_si256(); ROWS];
                let mut high = low;
                let first = self.taps.of(x).0 * 3;
                let mut pixels = rows.map(|row| row.as_ptr().wrapping_add(first));
                for c in coefficients {
                    for r in 0..ROWS {
                        // SAFETY: every row was checked to have `row_len` bytes, which is up to the end of the load of the
                        // last step of the last position.
                        let pairs = pair_up(unsafe { *pixels[r].cast() });
                        pixels[r] = pixels[r].wrapping_add(STEP * 3);
                        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pairs, c.low));
                        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pairs, c.high));
                    }
                }
                for r in 0..ROWS {
                    // The fourth byte is overwritten by the next pixel, or lies in the slack.
                    out[r * stride + x * 3..][..4].copy_from_slice(&to_pixel(low[r], high[r], base).to_le_bytes());
                }
            }
        }
    }

    /// Four RGB pixels, and four bytes that do not count, as pairs of 16-bit numbers: (0, 1) of red, green, blue, 0, then
    /// (2, 3).
    #[target_feature(enable = "avx2")]
    fn pair_up(pixels: [u8; 16]) -> __m256i {
        // SAFETY: both are 16 bytes, and any bytes make a vector.
        let pixels = unsafe { std::mem::transmute::<[u8; 16], __m128i>(pixels) };
        let order = _mm256_setr_epi8(
            0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
            6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
        );
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(pixels), order)
    }

    #[target_feature(enable = "avx2")]
    fn spread([a, b, c, d]: [i32; STEP]) -> Coefficients {
        let pair = |first: i32, second: i32| (first & 0xffff) | (second << 16);
        let low = |c: i32| c & ((1 << LOW_BITS) - 1);
        let high = |c: i32| c >> LOW_BITS;
        let four = |first: i32, second: i32| _mm256_set_m128i(_mm_set1_epi32(second), _mm_set1_epi32(first));
        Coefficients {
            low: four(pair(low(a), low(b)), pair(low(c), low(d))),
            high: four(pair(high(a), high(b)), pair(high(c), high(d))),
        }
    }

    /// Adds up a pixel on its base and cuts it to bytes: red, green, blue, 0.
    #[target_feature(enable = "avx2")]
    fn to_pixel(low: __m256i, high: __m256i, base: __m128i) -> u32 {
        let sums = _mm256_add_epi32(_mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
        let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let levels = _mm_srai_epi32::<22>(_mm_add_epi32(sums, base));
        // Both steps saturate, the second to 0..=255.
        let levels = _mm_packus_epi16(_mm_packs_epi32(levels, levels), _mm_setzero_si128());
        _mm_cvtsi128_si32(levels).cast_unsigned()
    }
}
