//! Rows of words turned into the order in which tiles read them.
//!
//! A word is 32 bits of a row: one `f32`, two `bf16` or four bytes of neighbouring inputs.

use super::Rows;
use crate::simd::{Kernel, LANES, Simd};

/// Sixteen words.
pub(crate) type Line = [u32; LANES];

/// Rows of words; those beyond the last are of inputs that are 0.
pub(crate) trait Words {
    /// The sixteen words from `word` of a row.
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line);

    /// Asks for what [`Words::read`] will read: soon, or after much other work.
    fn prefetch<const SOON: bool>(&self, _row: usize, _word: usize) {}
}

/// Asks for the cache line of an element, which there need not be: into the first cache if it is needed soon, into the second
/// for later.
#[inline(always)]
pub(crate) fn prefetch<const SOON: bool, T>(element: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let line = element.cast();
        // SAFETY: a prefetch of any address does no harm.
        unsafe { if SOON { _mm_prefetch::<_MM_HINT_T0>(line) } else { _mm_prefetch::<_MM_HINT_T1>(line) } };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
}

/// Asks for a part, of so many, of what lining up `words` of the halves from `word` on will read.
pub(crate) fn prefetch_part<W: Words>(
    weights: &W,
    halves: &[Rows],
    [word, words]: [usize; 2],
    [part, parts]: [usize; 2],
) {
    let rows = halves.len() * LANES;
    for row in part * rows / parts..(part + 1) * rows / parts {
        let (half, lane) = (halves[row / LANES], row % LANES);
        if lane < half.count {
            for word in (word..word + words).step_by(LANES) {
                weights.prefetch::<false>(half.first + lane, word);
            }
        }
    }
}

/// Words of a row that are asked for before they are read: rows are too many for the processor to notice.
const AHEAD: usize = 4 * LANES;

/// Writes words `[words, count]` of `count` rows from `first`: up to sixteen.
#[inline(always)]
fn interleave<S: Simd, W: Words>(s: S, source: &W, first: usize, count: usize, word: usize, out: &mut [u32]) {
    let mut block = [[0; LANES]; LANES];
    for (start, out) in (word..).step_by(LANES).zip(out.chunks_mut(LANES * count)) {
        for (r, row) in block[..count].iter_mut().enumerate() {
            source.prefetch::<true>(first + r, start + AHEAD);
            source.read(s, first + r, start, row);
        }
        s.transpose(&mut block);
        for (out, line) in out.chunks_exact_mut(count).zip(&block) {
            out.copy_from_slice(&line[..count]);
        }
    }
}

/// Writes lines `[words]` of sixteen rows, of which `rows` exist.
#[inline(always)]
fn line_up<S: Simd, W: Words>(s: S, source: &W, rows: Rows, word: usize, out: &mut [Line]) {
    for (start, out) in (word..).step_by(LANES).zip(out.chunks_mut(LANES)) {
        match out.as_mut_array() {
            Some(block) => turn(s, source, rows, start, block),
            None => {
                let mut block = [[0; LANES]; LANES];
                turn(s, source, rows, start, &mut block);
                out.copy_from_slice(&block[..out.len()]);
            }
        }
    }
}

/// Writes sixteen lines.
#[inline(always)]
fn turn<S: Simd, W: Words>(s: S, source: &W, rows: Rows, word: usize, block: &mut [Line; LANES]) {
    for (r, line) in block[..rows.count].iter_mut().enumerate() {
        source.prefetch::<true>(rows.first + r, word + AHEAD);
        source.read(s, rows.first + r, word, line);
    }
    block[rows.count..].fill([0; LANES]);
    s.transpose(block);
}

/// Cuts `rows` of `words` each into tiles of up to `most` rows, with their parts of `out`.
pub(crate) fn tiles(rows: usize, most: usize, words: usize, mut out: &mut [u32]) -> Vec<(Rows, &mut [u32])> {
    let parts = Rows::split(rows, most).map(|tile| {
        let (part, rest) = core::mem::take(&mut out).split_at_mut(tile.count * words);
        out = rest;
        (tile, part)
    });
    parts.collect()
}

/// Lines up a tile of activations.
pub(crate) struct LineUpRows<'a, W> {
    pub(crate) x: &'a W,
    pub(crate) tile: Rows,
    pub(crate) out: &'a mut [u32],
}

impl<W: Words> Kernel for LineUpRows<'_, W> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        interleave(s, self.x, self.tile.first, self.tile.count, 0, self.out);
    }
}

/// Lines up the weights of halves of tiles: `words` of each output from `word` on, with `room` of them in the panel.
pub(crate) struct LineUpWeights<'a, W> {
    pub(crate) weights: &'a W,
    /// The rows of weights of each half; there may be fewer than sixteen.
    pub(crate) halves: &'a [Rows],
    pub(crate) word: usize,
    pub(crate) words: usize,
    pub(crate) room: usize,
    /// `[halves, room]`.
    pub(crate) panel: &'a mut [Line],
}

impl<W: Words> Kernel for LineUpWeights<'_, W> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (rows, out) in self.halves.iter().zip(self.panel.chunks_mut(self.room)) {
            line_up(s, self.weights, *rows, self.word, &mut out[..self.words]);
        }
    }
}
