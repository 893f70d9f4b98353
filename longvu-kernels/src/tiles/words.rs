//! Rows of activations and weights as words.

use super::lines::{Line, Words, prefetch};
use crate::simd::{LANES, Simd, with_chunk};

/// Rows of elements.
#[derive(Clone, Copy)]
pub(crate) struct Elements<'a, T> {
    data: &'a [T],
    inputs: usize,
}

impl<'a, T: Copy + Default> Elements<'a, T> {
    pub(crate) fn new(data: &'a [T], inputs: usize) -> Self {
        Self { data, inputs }
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, first: usize) {
        prefetch::<SOON, T>(self.data.as_ptr().wrapping_add(row * self.inputs + first));
    }

    /// Gives `read` the `N` elements of a row from `first` on, with defaults beyond the last.
    #[inline(always)]
    fn with<const N: usize>(&self, row: usize, first: usize, read: impl FnOnce(&[T; N])) {
        let row = &self.data[row * self.inputs..][..self.inputs];
        with_chunk(&row[row.len().min(first)..], read);
    }
}

/// `f32` as they are.
pub(crate) struct Single<'a>(pub(crate) Elements<'a, f32>);

impl Words for Single<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, _: S, row: usize, word: usize, out: &mut Line) {
        self.0.with(row, word, |x: &[f32; LANES]| *out = x.map(f32::to_bits));
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        self.0.prefetch::<SOON>(row, word);
    }
}

/// `f32` as pairs of bfloat16.
pub(crate) struct Rounded<'a>(pub(crate) Elements<'a, f32>);

impl Words for Rounded<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        self.0.with(row, 2 * word, |x| s.round_bf16(x, out));
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        self.0.prefetch::<SOON>(row, 2 * word);
        self.0.prefetch::<SOON>(row, 2 * word + LANES);
    }
}

/// Bits of bfloat16 as pairs.
pub(crate) struct Pairs<'a>(pub(crate) Elements<'a, u16>);

impl Words for Pairs<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, _: S, row: usize, word: usize, out: &mut Line) {
        self.0.with(row, 2 * word, |bits: &[u16; 2 * LANES]| {
            for (out, &[low, high]) in out.iter_mut().zip(bits.as_chunks().0) {
                *out = u32::from(low) | u32::from(high) << 16;
            }
        });
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        self.0.prefetch::<SOON>(row, 2 * word);
    }
}

/// Bits of half precision (`F16`) or bfloat16 as `f32`.
pub(crate) struct Widened<'a, const F16: bool>(pub(crate) Elements<'a, u16>);

impl<const F16: bool> Words for Widened<'_, F16> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        self.0.with(row, word, |bits| {
            let mut x = [0.0; LANES];
            s.store(&mut x, if F16 { s.load_f16(bits) } else { s.load_bf16(bits) });
            *out = x.map(f32::to_bits);
        });
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        self.0.prefetch::<SOON>(row, word);
    }
}

/// The rows of one matrix after those of another.
pub(crate) struct Both<W> {
    pub(crate) matrices: [W; 2],
    /// Rows of the first.
    pub(crate) first: usize,
}

impl<W: Words> Words for Both<W> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        if row < self.first {
            self.matrices[0].read(s, row, word, out);
        } else {
            self.matrices[1].read(s, row - self.first, word, out);
        }
    }

    #[inline(always)]
    fn prefetch<const SOON: bool>(&self, row: usize, word: usize) {
        if row < self.first {
            self.matrices[0].prefetch::<SOON>(row, word);
        } else {
            self.matrices[1].prefetch::<SOON>(row - self.first, word);
        }
    }
}
