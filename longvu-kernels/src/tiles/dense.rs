//! Weights in bfloat16, multiplied as pairs by instructions that add two products to a sum at once.

use super::lines::{Line, LineUpRows, LineUpWeights, Words, tiles};
use super::{BLOCK_ROWS, OUTPUTS, Operands, Rows, TASK_OUTPUTS, Target, run};
use crate::isa::Isa;
use crate::simd::{LANES, Level, Simd};
use rayon::prelude::*;

/// Inputs of a word.
const PAIR: usize = 2;

/// Words of a block: the weights of a tile take 32 KB.
const WORDS: usize = 256;

/// `out = x · weightsᵀ`, activations rounded to bfloat16 and sums in `f32`, where the machine multiplies so; whether it
/// does. Bits of weights `[outputs, inputs]`, x `[rows, inputs]`, out `[rows, outputs]`. Finished parts of rows are given to
/// `finish`, as their first output and the elements.
pub(crate) fn multiply_bf16(
    isa: Isa,
    weights: &[u16],
    inputs: usize,
    x: &[f32],
    out: &mut [f32],
    finish: impl Fn(usize, &mut [f32]) + Sync,
) -> bool {
    if isa.bf16_products().is_none() {
        return false;
    }
    let rows = x.len() / inputs;
    let outputs = out.len() / rows;
    let mut lined = Vec::new();
    for block in Rows::split(rows, BLOCK_ROWS) {
        let x = &x[block.first * inputs..][..block.count * inputs];
        let out = &mut out[block.first * outputs..][..block.count * outputs];
        let operands = Pairs::new(isa, weights, inputs, x, core::mem::take(&mut lined));
        run(&operands, block.count, out, &finish);
        lined = operands.x;
    }
    true
}

/// Activations of a block of rows, and all weights.
struct Pairs<'a> {
    level: Level,
    weights: Bits<'a>,
    /// Words of a row.
    words: usize,
    /// `[rows, words]` in tiles of rows, each `[words, rows of the tile]`.
    x: Vec<u32>,
}

/// The most rows of a tile: 28 of 32 registers are sums.
const TILE_ROWS: usize = 14;

impl<'a> Pairs<'a> {
    /// Uses the memory of `x_words`.
    fn new(isa: Isa, weights: &'a [u16], inputs: usize, x: &[f32], mut x_words: Vec<u32>) -> Self {
        let (level, rows) = (Level::of(isa), x.len() / inputs);
        let words = inputs.div_ceil(PAIR).next_multiple_of(LANES);
        x_words.resize(rows * words, 0);
        tiles(rows, TILE_ROWS, words, &mut x_words).into_par_iter().for_each(|(tile, out)| {
            level.run(LineUpRows { x: Rounded { x, inputs }, tile, out });
        });
        Self { level, weights: Bits { weights, inputs }, words, x: x_words }
    }
}

impl Operands for Pairs<'_> {
    const INPUTS: usize = WORDS * PAIR;
    /// `[tiles of outputs, halves of a tile, words]`.
    type Panel = Vec<Line>;

    fn inputs(&self) -> usize {
        self.weights.inputs
    }

    fn tile_rows(&self) -> usize {
        TILE_ROWS
    }

    fn panel(&self) -> Vec<Line> {
        vec![[0; LANES]; TASK_OUTPUTS / LANES * WORDS]
    }

    fn pack(&self, first: usize, outputs: usize, input: usize, panel: &mut Vec<Line>) {
        let word = input / PAIR;
        let words = WORDS.min(self.words - word);
        let weights = &self.weights;
        self.level.run(LineUpWeights { weights, first, outputs, word, words, room: WORDS, panel });
    }

    unsafe fn multiply(&self, panel: &Vec<Line>, output: usize, input: usize, rows: Rows, out: Target) {
        let word = input / PAIR;
        let words = WORDS.min(self.words - word);
        let x = &self.x[rows.first * self.words + word * rows.count..][..words * rows.count];
        let weights = &panel[output / LANES * WORDS..][..OUTPUTS / LANES * WORDS];
        let halves = [&weights[..words], &weights[WORDS..][..words]];
        // SAFETY: such operands are made only where the instructions are, and the caller promises the rest.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            super::avx512::bf16_tile(x, halves, rows.count, out);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (x, halves, out);
    }
}

/// Activations as pairs.
struct Rounded<'a> {
    x: &'a [f32],
    inputs: usize,
}

impl Words for Rounded<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, s: S, row: usize, word: usize, out: &mut Line) {
        let row = &self.x[row * self.inputs..][..self.inputs];
        let row = &row[row.len().min(word * PAIR)..];
        match row.first_chunk() {
            Some(x) => s.round_bf16(x, out),
            None => {
                let mut x = [0.0; PAIR * LANES];
                x[..row.len()].copy_from_slice(row);
                s.round_bf16(&x, out);
            }
        }
    }
}

/// Bits of bfloat16 weights as pairs.
struct Bits<'a> {
    weights: &'a [u16],
    inputs: usize,
}

impl Words for Bits<'_> {
    #[inline(always)]
    fn read<S: Simd>(&self, _: S, row: usize, word: usize, out: &mut Line) {
        let row = &self.weights[row * self.inputs..][..self.inputs];
        let row = &row[row.len().min(word * PAIR)..];
        let join = |bits: &[u16; PAIR * LANES], out: &mut Line| {
            for (out, &[low, high]) in out.iter_mut().zip(bits.as_chunks::<PAIR>().0) {
                *out = u32::from(low) | u32::from(high) << 16;
            }
        };
        match row.first_chunk() {
            Some(bits) => join(bits, out),
            None => {
                let mut bits = [0; PAIR * LANES];
                bits[..row.len()].copy_from_slice(row);
                join(&bits, out);
            }
        }
    }
}
