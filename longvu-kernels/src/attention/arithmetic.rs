//! What the two products of attention are computed in.

use crate::math;
use crate::simd::{Kernel, LANES, Level, Simd};

/// `V` vectors of words, one lane for each query.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row<W, const V: usize>(pub(super) [[W; LANES]; V]);

impl<W: Copy, const V: usize> Row<W, V> {
    pub(super) const fn splat(x: W) -> Self {
        Self([[x; LANES]; V])
    }

    #[inline(always)]
    pub(super) fn lane(&mut self, lane: usize) -> &mut W {
        &mut self.0[lane / LANES][lane % LANES]
    }
}

impl<const V: usize> Row<f32, V> {
    #[inline(always)]
    pub(super) fn load<S: Simd>(&self, s: S) -> [S::F; V] {
        let mut out = [s.splat(0.0); V];
        for v in 0..V {
            out[v] = s.load(&self.0[v]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn store<S: Simd>(&mut self, s: S, x: [S::F; V]) {
        for v in 0..V {
            s.store(&mut self.0[v], x[v]);
        }
    }
}

/// Sixteen words.
pub(super) type Line<A> = [<A as Arithmetic>::Word; LANES];

/// The type of the operands; sums are `f32`. All but [`run`](Self::run) are called in it.
pub(super) trait Arithmetic: Copy + Send + Sync {
    /// Neighbouring elements of a sum.
    type Word: Copy + Default + Send + Sync;
    /// Elements of a word.
    const STEP: usize;

    /// Sixteen words of neighbouring elements, of as many as these take.
    fn line<S: Simd>(s: S, elements: &[f32; 2 * LANES]) -> Line<Self>;

    /// Sixteen words of elements of neighbouring rows.
    fn across<S: Simd>(s: S, rows: [&[f32; LANES]; 2]) -> Line<Self>;

    /// Turns rows of words into columns.
    fn transpose<S: Simd>(s: S, block: &mut [Line<Self>; LANES]);

    /// Runs a kernel where its products are.
    fn run<K: Kernel>(self, level: Level, kernel: K) -> K::Out;

    /// Powers of 2 of scores less their maximum as words, in the buffer or where the scores were; `total` grows by them.
    fn powers<'a, S: Simd, const V: usize>(
        s: S,
        scores: &'a mut [Row<f32, V>],
        buffer: &'a mut [Row<Self::Word, V>],
        max: [S::F; V],
        total: &mut [S::F; V],
    ) -> &'a [Row<Self::Word, V>];

    /// `tile[r] += left[k][r] * right[k]` over all k.
    fn multiply<S: Simd, const R: usize, const V: usize>(
        s: S,
        left: &[[Self::Word; R]],
        right: &[Row<Self::Word, V>],
        tile: [[S::F; V]; R],
    ) -> [[S::F; V]; R];
}

/// Products of `f32`.
#[derive(Clone, Copy)]
pub(super) struct Single;

impl Arithmetic for Single {
    type Word = f32;
    const STEP: usize = 1;

    #[inline(always)]
    fn line<S: Simd>(_: S, elements: &[f32; 2 * LANES]) -> Line<Self> {
        elements.as_chunks().0[0]
    }

    #[inline(always)]
    fn across<S: Simd>(_: S, rows: [&[f32; LANES]; 2]) -> Line<Self> {
        *rows[0]
    }

    #[inline(always)]
    fn transpose<S: Simd>(s: S, block: &mut [Line<Self>; LANES]) {
        let mut bits = block.map(|line| line.map(f32::to_bits));
        s.transpose(&mut bits);
        *block = bits.map(|line| line.map(f32::from_bits));
    }

    #[inline(always)]
    fn run<K: Kernel>(self, level: Level, kernel: K) -> K::Out {
        level.run(kernel)
    }

    #[inline(always)]
    fn powers<'a, S: Simd, const V: usize>(
        s: S,
        scores: &'a mut [Row<f32, V>],
        _: &'a mut [Row<f32, V>],
        max: [S::F; V],
        total: &mut [S::F; V],
    ) -> &'a [Row<f32, V>] {
        for row in &mut *scores {
            let mut power = row.load(s);
            for v in 0..V {
                power[v] = math::exp2(s, s.sub(power[v], max[v]));
                total[v] = s.add(total[v], power[v]);
            }
            row.store(s, power);
        }
        scores
    }

    #[inline(always)]
    fn multiply<S: Simd, const R: usize, const V: usize>(
        s: S,
        left: &[[f32; R]],
        right: &[Row<f32, V>],
        mut tile: [[S::F; V]; R],
    ) -> [[S::F; V]; R] {
        for (left, right) in left.iter().zip(right) {
            let right = right.load(s);
            for r in 0..R {
                let factor = s.splat(left[r]);
                for v in 0..V {
                    tile[r][v] = s.fma(factor, right[v], tile[r][v]);
                }
            }
        }
        tile
    }
}

/// Products of bfloat16.
#[derive(Clone, Copy)]
pub(super) struct Brain(());

impl Brain {
    /// # Safety
    /// A machine with AVX-512 has AVX-512 BF16 too.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Arithmetic for Brain {
    type Word = u32;
    const STEP: usize = 2;

    #[inline(always)]
    fn line<S: Simd>(s: S, elements: &[f32; 2 * LANES]) -> Line<Self> {
        let mut line = [0; LANES];
        let (halves, _) = elements.as_chunks();
        // SAFETY: `run` sees to it.
        unsafe { s.pair_bf16::<false>([s.load(&halves[0]), s.load(&halves[1])], &mut line) };
        line
    }

    #[inline(always)]
    fn across<S: Simd>(s: S, rows: [&[f32; LANES]; 2]) -> Line<Self> {
        let mut line = [0; LANES];
        // SAFETY: `run` sees to it.
        unsafe { s.pair_bf16::<true>([s.load(rows[0]), s.load(rows[1])], &mut line) };
        line
    }

    #[inline(always)]
    fn transpose<S: Simd>(s: S, block: &mut [Line<Self>; LANES]) {
        s.transpose(block);
    }

    #[inline(always)]
    fn run<K: Kernel>(self, level: Level, kernel: K) -> K::Out {
        // SAFETY: a `Brain` exists only where the instructions do.
        unsafe { level.run_bf16(kernel) }
    }

    #[inline(always)]
    fn powers<'a, S: Simd, const V: usize>(
        s: S,
        scores: &'a mut [Row<f32, V>],
        buffer: &'a mut [Row<u32, V>],
        max: [S::F; V],
        total: &mut [S::F; V],
    ) -> &'a [Row<u32, V>] {
        let (pairs, last) = scores.as_chunks::<2>();
        let words = &mut buffer[..scores.len().div_ceil(2)];
        for (out, rows) in words.iter_mut().zip(pairs) {
            let rows = [rows[0].load(s), rows[1].load(s)];
            for v in 0..V {
                let powers =
                    [math::exp2_bf16(s, s.sub(rows[0][v], max[v])), math::exp2_bf16(s, s.sub(rows[1][v], max[v]))];
                total[v] = s.add(total[v], s.add(powers[0], powers[1]));
                // SAFETY: `run` sees to it.
                unsafe { s.pair_bf16::<true>(powers, &mut out.0[v]) };
            }
        }
        if let ([row], Some(out)) = (last, words.last_mut()) {
            let row = row.load(s);
            for v in 0..V {
                let power = math::exp2_bf16(s, s.sub(row[v], max[v]));
                total[v] = s.add(total[v], power);
                // SAFETY: `run` sees to it.
                unsafe { s.pair_bf16::<true>([power, s.splat(0.0)], &mut out.0[v]) };
            }
        }
        words
    }

    #[inline(always)]
    fn multiply<S: Simd, const R: usize, const V: usize>(
        s: S,
        left: &[[u32; R]],
        right: &[Row<u32, V>],
        mut tile: [[S::F; V]; R],
    ) -> [[S::F; V]; R] {
        for (left, right) in left.iter().zip(right) {
            for r in 0..R {
                for v in 0..V {
                    // SAFETY: `run` sees to it.
                    tile[r][v] = unsafe { s.dot_bf16(&right.0[v], left[r], tile[r][v]) };
                }
            }
        }
        tile
    }
}
