//! Weights multiplied as pairs of bfloat16 on the tiles of AMX, two by two tiles of 16 rows and 16 outputs at once.

use super::lines::{Line, LineUpWeights, Words, prefetch_part};
use super::{OUTPUTS, Operands, Rows, Sink, TASK_OUTPUTS, Target, WORDS, block_rows, run};
use crate::amx::{Amx, Bf16, Lhs, MAX_ROWS, Out, Tiles};
use crate::simd::{Kernel, LANES, Level, Simd};
use rayon::prelude::*;

/// Inputs of a word.
const STEP: usize = 2;

/// `out = x · weightsᵀ` of pairs of bfloat16: x `[rows, inputs]`.
pub(crate) fn multiply<W: Words + Sync, X: Words + Sync>(
    (amx, level): (Amx, Level),
    [rows, inputs]: [usize; 2],
    weights: W,
    x: impl Fn(Rows) -> X,
    sink: &mut Sink<'_>,
) {
    let words = inputs.div_ceil(STEP).next_multiple_of(LANES);
    let mut operands = Blocks { amx, level, weights, words, x: Vec::new() };
    for block in Rows::split(rows, block_rows(words * size_of::<u32>())) {
        operands.line_up(&x(block), block.count);
        run(&operands, block, sink);
    }
}

/// Activations of a block of rows, and all weights.
struct Blocks<W> {
    amx: Amx,
    level: Level,
    weights: W,
    /// Words of a row, in whole lines.
    words: usize,
    /// `[tiles of rows, lines of a row, MAX_ROWS]`: what a step reads lies together.
    x: Vec<Line>,
}

impl<W> Blocks<W> {
    /// Lines of a tile of rows and the block of inputs from `input`.
    fn rows(&self, rows: Rows, input: usize) -> &[Line] {
        let (tile, line) = (self.words / LANES * MAX_ROWS, input / STEP / LANES * MAX_ROWS);
        let words = WORDS.min(self.words - input / STEP);
        &self.x[rows.first / MAX_ROWS * tile..][line..line + words / LANES * MAX_ROWS]
    }

    fn line_up<X: Words + Sync>(&mut self, x: &X, rows: usize) {
        let Self { level, words, .. } = *self;
        let tile = words / LANES * MAX_ROWS;
        self.x.resize(rows.div_ceil(MAX_ROWS) * tile, [0; LANES]);
        self.x.par_chunks_mut(tile).zip(Rows::whole(rows, MAX_ROWS).collect::<Vec<_>>()).for_each(|(out, rows)| {
            level.run(ByStep { x, rows, out });
        });
    }
}

/// Writes lines `[lines of a row, MAX_ROWS]` of some rows; those of no row are 0.
struct ByStep<'a, X> {
    x: &'a X,
    rows: Rows,
    out: &'a mut [Line],
}

impl<X: Words> Kernel for ByStep<'_, X> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (step, lines) in self.out.chunks_exact_mut(MAX_ROWS).enumerate() {
            let (lines, rest) = lines.split_at_mut(self.rows.count);
            for (r, line) in lines.iter_mut().enumerate() {
                self.x.read(s, self.rows.first + r, step * LANES, line);
            }
            rest.fill([0; LANES]);
        }
    }
}

/// Weights of a task and a block of inputs, and a thread's tiles to multiply them on.
struct Panel {
    tiles: Tiles,
    /// `[halves of tiles, WORDS]`.
    lines: Vec<Line>,
}

impl<W: Words + Sync> Operands for Blocks<W> {
    type Panel = Panel;

    fn inputs(&self) -> usize {
        self.words * STEP
    }

    fn block_inputs(&self) -> usize {
        WORDS * STEP
    }

    fn tiles(&self, rows: usize) -> Vec<Rows> {
        Rows::whole(rows, MAX_ROWS).collect()
    }

    fn panel(&self) -> Panel {
        Panel { tiles: Tiles::new(self.amx), lines: vec![[0; LANES]; TASK_OUTPUTS / LANES * WORDS] }
    }

    fn pack(&self, halves: &[Rows], input: usize, panel: &mut Panel) {
        let word = input / STEP;
        let words = WORDS.min(self.words - word);
        let (weights, panel) = (&self.weights, &mut panel.lines[..]);
        self.level.run(LineUpWeights { weights, halves, word, words, room: WORDS, panel });
    }

    fn prefetch(&self, halves: &[Rows], input: usize, part: [usize; 2]) {
        let word = input / STEP;
        prefetch_part(&self.weights, halves, [word, WORDS.min(self.words - word)], part);
    }

    unsafe fn multiply(&self, panel: &Panel, output: usize, input: usize, rows: Rows, out: Target) {
        let words = WORDS.min(self.words - input / STEP);
        let x = self.rows(rows, input);
        let weights = &panel.lines[output / LANES * WORDS..][..OUTPUTS / LANES * WORDS];
        let blocks = [halves(&weights[..words]), halves(&weights[WORDS..][..words])];
        // SAFETY: the caller promises that a whole tile is valid, and nobody else's.
        let sums = unsafe { Out::from_raw(out.first, out.stride, rows.count, OUTPUTS) };
        panel.tiles.multiply::<Bf16>(Lhs::by_step(halves(x), MAX_ROWS), &blocks, sums, out.add);
    }
}

/// The halves of words, the lower ones first, as the machine that has tiles stores them.
fn halves(lines: &[Line]) -> &[u16] {
    // SAFETY: any bits are numbers, and a `u32` is aligned as a `u16` has to be.
    unsafe { core::slice::from_raw_parts(lines.as_ptr().cast(), 2 * lines.as_flattened().len()) }
}
