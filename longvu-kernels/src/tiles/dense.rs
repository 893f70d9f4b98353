//! Weights in floating point, multiplied as lines of words with words of activations that are broadcast.

use super::lines::{Line, LineUpRows, LineUpWeights, Words, prefetch_part, tiles};
use super::{OUTPUTS, Operands, Rows, Sink, TASK_OUTPUTS, Target, WORDS, block_rows, run, spare};
use crate::isa::Isa;
use crate::simd::{LANES, Level};
use rayon::prelude::*;

/// What words are, and how a tile of them is multiplied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Pairs of bfloat16, by AVX-512 BF16.
    Bf16,
    /// `f32`, by AVX-512.
    F32Wide,
    /// `f32`, by AVX2.
    F32,
}

impl Format {
    /// The best for `f32`.
    pub(super) fn of_f32(isa: Isa) -> Option<Self> {
        match isa {
            Isa::Portable => None,
            Isa::Avx2 | Isa::AvxVnni => Some(Self::F32),
            _ => Some(Self::F32Wide),
        }
    }

    /// Inputs of a word.
    fn step(self) -> usize {
        if self == Self::Bf16 { 2 } else { 1 }
    }

    /// The most rows of a tile.
    fn tile_rows(self) -> usize {
        match self {
            // 28 of 32 registers are sums.
            Self::Bf16 | Self::F32Wide => super::MAX_TILE_ROWS,
            Self::F32 => super::F32_ROWS,
        }
    }
}

/// `out = x · weightsᵀ` of words in a format: x `[rows, inputs]`.
pub(super) fn multiply<W: Words + Sync, X: Words + Sync>(
    (isa, format): (Isa, Format),
    [rows, inputs]: [usize; 2],
    weights: W,
    x: impl Fn(Rows) -> X,
    sink: &mut Sink<'_>,
) {
    let words = inputs.div_ceil(format.step()).next_multiple_of(LANES);
    let mut operands = Dense { format, level: Level::of(isa), weights, words, x: spare::take() };
    for block in Rows::split(rows, block_rows(words * size_of::<u32>())) {
        operands.line_up(&x(block), block.count);
        run(&operands, block, sink);
    }
    spare::leave(operands.x);
}

/// Activations of a block of rows, and all weights.
struct Dense<W> {
    format: Format,
    level: Level,
    weights: W,
    /// Words of a row, in whole lines.
    words: usize,
    /// `[rows, words]` in tiles of rows, each `[words, rows of the tile]`.
    x: Vec<u32>,
}

impl<W> Dense<W> {
    fn line_up<X: Words + Sync>(&mut self, x: &X, rows: usize) {
        let Self { format, level, words, .. } = *self;
        if self.x.len() < rows * words {
            self.x = vec![0; rows * words];
        }
        self.x.truncate(rows * words);
        tiles(rows, format.tile_rows(), words, &mut self.x)
            .into_par_iter()
            .for_each(|(tile, out)| level.run(LineUpRows { x, tile, out }));
    }

    /// Words of a tile of rows and a block of inputs.
    fn rows(&self, rows: Rows, (word, words): (usize, usize)) -> &[u32] {
        &self.x[rows.first * self.words + word * rows.count..][..words * rows.count]
    }

    /// The first word of a block of inputs, and how many it has.
    fn block(&self, input: usize) -> (usize, usize) {
        let word = input / self.format.step();
        (word, WORDS.min(self.words - word))
    }
}

impl<W: Words + Sync> Operands for Dense<W> {
    /// `[halves of tiles, WORDS]`.
    type Panel = Vec<Line>;

    fn block_inputs(&self) -> usize {
        WORDS * self.format.step()
    }

    fn inputs(&self) -> usize {
        self.words * self.format.step()
    }

    fn tiles(&self, rows: usize) -> Vec<Rows> {
        Rows::split(rows, self.format.tile_rows()).collect()
    }

    fn panel(&self) -> Vec<Line> {
        vec![[0; LANES]; TASK_OUTPUTS / LANES * WORDS]
    }

    fn pack(&self, halves: &[Rows], input: usize, panel: &mut Vec<Line>) {
        let ((word, words), weights) = (self.block(input), &self.weights);
        self.level.run(LineUpWeights { weights, halves, word, words, room: WORDS, panel });
    }

    fn prefetch(&self, halves: &[Rows], input: usize, part: [usize; 2]) {
        let (word, words) = self.block(input);
        prefetch_part(&self.weights, halves, [word, words], part);
    }

    unsafe fn multiply(&self, panel: &Vec<Line>, output: usize, input: usize, rows: Rows, out: Target) {
        let (word, words) = self.block(input);
        let x = self.rows(rows, (word, words));
        let weights = &panel[output / LANES * WORDS..][..OUTPUTS / LANES * WORDS];
        let halves = [&weights[..words], &weights[WORDS..][..words]];
        #[cfg(target_arch = "x86_64")]
        // SAFETY: formats are made where their instructions are, and the caller promises the rest.
        unsafe {
            match self.format {
                Format::Bf16 => super::avx512::bf16_tile(x, halves, rows.count, out),
                Format::F32Wide => super::avx512::f32_tile(x, halves, rows.count, out),
                Format::F32 => super::avx2::f32_tile(x, halves, rows.count, out),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (x, halves, out);
    }
}
