//! Many rows against quantised weights, in products of 8-bit integers.
//!
//! Activations become 8-bit integers with a scale per row and group, the group being the weights': a channel far greater
//! than others coarsens the steps of its own group, in its own row, and of nothing else. Sums of a group are exact, in 32
//! bits; 4-bit codes are widened while they are lined up.

use super::QuantMatrix;
use super::activations::{ABOVE, Activations, QUAD, Quantized, Scale, sum_groups};
use super::gemv::load_scales;
use super::words::{Pairs, Quads, Single, row_of};
use crate::amx::Amx;
use crate::isa::Isa;
use crate::simd::{Kernel, LANES, Level, Simd};
use crate::tiles::avx2::{PAIRS_ROWS, VNNI_ROWS, int8_tile_pairs, int8_tile_vnni};
use crate::tiles::avx512::{INT8_ROWS, int8_tile};
use crate::tiles::integers::{QuantRows, QuantTile};
use crate::tiles::lines::{Line, LineUpRows, LineUpWeights, prefetch_part, tiles};
use crate::tiles::words::Rounded;
use crate::tiles::{
    Operands, Rows, Sink, TASK_OUTPUTS, Target, WORDS, amx, amx_of, block_rows, elements_of, multiply_single, run,
};
use core::ops::Range;
use rayon::prelude::*;

/// `out = x · weightsᵀ` in the best arithmetic that the instructions have tiles for; whether they have any. x `[rows, inputs]`. The
/// matrices are of one format and as many inputs; the second's outputs come after the first's.
pub(crate) fn multiply(isa: Isa, matrices: &[&QuantMatrix], x: &[f32], sink: &mut Sink<'_>) -> bool {
    assert!(isa.is_present() && matrices.iter().all(|matrix| matrix.inputs == matrices[0].inputs), "{isa}");
    let matrix = matrices[0];
    let [rows, inputs] = [x.len() / matrix.inputs, matrix.inputs];
    if let Some(tiles) = amx_of(isa) {
        multiply_on_amx(tiles, matrices, x, sink);
        return true;
    }
    if isa.int8_products().is_none() {
        return multiply_single(isa, Single(matrices), inputs, x, sink);
    }
    let mut memory = Activations::default();
    for block in Rows::split(rows, block_rows(inputs)) {
        let x = &x[block.first * matrix.inputs..][..block.count * matrix.inputs];
        let mut operands = Integers { isa, level: Level::of(isa), matrix, matrices, x: core::mem::take(&mut memory) };
        operands.quantize(x, block.count);
        run(&operands, block, sink);
        memory = operands.x;
    }
    true
}

/// The product on the tiles of AMX, in bfloat16: its sums of integers would leave the tiles after every group, which takes longer
/// than the products, and activations lose less in bfloat16.
pub(crate) fn multiply_on_amx(tiles: (Amx, Level), matrices: &[&QuantMatrix], x: &[f32], sink: &mut Sink<'_>) {
    let inputs = matrices[0].inputs;
    let rounded = |rows| Rounded(elements_of(x, inputs, rows));
    amx::multiply(tiles, [x.len() / inputs, inputs], Pairs(matrices), rounded, sink);
}

/// Activations of a block of rows, and all weights.
struct Integers<'a> {
    isa: Isa,
    level: Level,
    /// The first of the matrices.
    matrix: &'a QuantMatrix,
    matrices: &'a [&'a QuantMatrix],
    x: Activations,
}

/// Weights of a task and a block of inputs.
struct Panel {
    /// `[halves, WORDS]`.
    codes: Vec<Line>,
    /// `[halves, groups]`.
    scales: Vec<[f32; LANES]>,
    /// As `scales`, or nothing.
    offsets: Vec<[f32; LANES]>,
    /// As `scales`.
    starts: Vec<[i32; LANES]>,
}

impl Integers<'_> {
    /// The most rows of a tile.
    fn tile_rows(&self) -> usize {
        match self.isa {
            Isa::Avx2 => PAIRS_ROWS,
            Isa::AvxVnni => VNNI_ROWS,
            _ => INT8_ROWS,
        }
    }

    /// Words of a row.
    fn words(&self) -> usize {
        self.matrix.padded() / QUAD
    }

    /// Words of a group.
    fn group(&self) -> usize {
        self.matrix.format.group / QUAD
    }

    fn quantize(&mut self, x: &[f32], rows: usize) {
        let (level, matrix, words, most) = (self.level, self.matrix, self.words(), self.tile_rows());
        let groups = words / self.group();
        let Activations { codes, scales, sums } = &mut self.x;
        codes.resize(rows * words, 0);
        scales.resize(rows * groups, 0.0);
        sums.resize(rows * groups, 0.0);
        let (mut scales, mut sums) = (&mut scales[..], &mut sums[..]);
        let mut parts = Vec::new();
        for (tile, codes) in tiles(rows, most, words, codes) {
            let (of_scales, scales_rest) = scales.split_at_mut(tile.count * groups);
            let (of_sums, sums_rest) = sums.split_at_mut(tile.count * groups);
            parts.push((tile, codes, of_scales, of_sums));
            (scales, sums) = (scales_rest, sums_rest);
        }
        parts.into_par_iter().for_each(|(tile, codes, scales, sums)| {
            let x = &x[tile.first * matrix.inputs..][..tile.count * matrix.inputs];
            let mut inverses = vec![0.0; tile.count * groups];
            level.run(Scale { x, inputs: matrix.inputs, group: matrix.format.group, inverses: &mut inverses, scales });
            let x = Quantized { x, inputs: matrix.inputs, group: matrix.format.group, inverses: &inverses };
            level.run(LineUpRows { x: &x, tile: Rows { first: 0, count: tile.count }, out: codes });
            if matrix.offsets.is_some() {
                sum_groups(codes, tile.count, self.matrix.format.group / QUAD, scales, sums);
            }
        });
    }

    /// A tile of rows and the block of inputs from `input`.
    fn rows(&self, rows: Rows, input: usize) -> QuantRows<'_> {
        let ((words, groups), all) = (self.block(input), self.words() / self.group());
        let codes = rows.first * self.words() + words.start * rows.count;
        let scales = rows.first * all + groups.start * rows.count..rows.first * all + groups.end * rows.count;
        QuantRows {
            codes: &self.x.codes[codes..][..words.len() * rows.count],
            scales: &self.x.scales[scales.clone()],
            sums: &self.x.sums[scales],
            rows: rows.count,
        }
    }

    /// Words and groups of the block from an input on.
    fn block(&self, input: usize) -> (Range<usize>, Range<usize>) {
        let word = input / QUAD;
        let words = word..self.words().min(word + WORDS);
        (words.clone(), words.start / self.group()..words.end / self.group())
    }
}

impl Operands for Integers<'_> {
    type Panel = Panel;

    fn block_inputs(&self) -> usize {
        WORDS * QUAD
    }

    fn inputs(&self) -> usize {
        self.matrix.inputs
    }

    fn tiles(&self, rows: usize) -> Vec<Rows> {
        Rows::split(rows, self.tile_rows()).collect()
    }

    fn panel(&self) -> Panel {
        let (halves, groups) = (TASK_OUTPUTS / LANES, WORDS / self.group());
        let offsets = if self.matrix.offsets.is_some() { halves * groups } else { 0 };
        Panel {
            codes: vec![[0; LANES]; halves * WORDS],
            scales: vec![[0.0; LANES]; halves * groups],
            offsets: vec![[0.0; LANES]; offsets],
            starts: vec![[0; LANES]; halves * groups],
        }
    }

    fn pack(&self, halves: &[Rows], input: usize, panel: &mut Panel) {
        let (words, groups) = self.block(input);
        let weights = LineUpWeights {
            weights: &Quads(self.matrices),
            halves,
            word: words.start,
            words: words.len(),
            room: WORDS,
            panel: &mut panel.codes,
        };
        self.level.run(weights);
        let (room, group) = (WORDS / self.group(), self.group());
        for (half, rows) in halves.iter().enumerate() {
            let lines = &panel.codes[half * WORDS..][..words.len()];
            // With AVX2 activations are signed.
            if self.isa != Isa::Avx2 {
                self.level.run(Starts { lines, group, starts: &mut panel.starts[half * room..][..groups.len()] });
            }
            let (scales, offsets) = (&mut panel.scales[half * room..], panel.offsets.get_mut(half * room..));
            self.level.run(Lanes {
                from: self.matrices,
                rows: *rows,
                groups: groups.clone(),
                offsets: false,
                out: scales,
            });
            if let Some(out) = offsets.filter(|offsets| !offsets.is_empty()) {
                self.level.run(Lanes { from: self.matrices, rows: *rows, groups: groups.clone(), offsets: true, out });
            }
        }
    }

    fn prefetch(&self, halves: &[Rows], input: usize, part: [usize; 2]) {
        let (words, _) = self.block(input);
        prefetch_part(&Quads(self.matrices), halves, [words.start, words.len()], part);
    }

    unsafe fn multiply(&self, panel: &Panel, output: usize, input: usize, rows: Rows, out: Target) {
        let (words, groups) = self.block(input);
        let (half, room) = (output / LANES, WORDS / self.group());
        fn halves<T>(all: &[T], half: usize, room: usize, len: usize) -> [&[T]; 2] {
            [half, half + 1].map(|half| all.get(half * room..half * room + len).unwrap_or_default())
        }
        let weights = QuantTile {
            codes: halves(&panel.codes, half, WORDS, words.len()),
            scales: halves(&panel.scales, half, room, groups.len()),
            starts: halves(&panel.starts, half, room, groups.len()),
            offsets: halves(&panel.offsets, half, room, groups.len()),
            group: self.group(),
        };
        let x = self.rows(rows, input);
        // SAFETY: such operands are made only where the instructions are, and the caller promises the rest.
        unsafe {
            match self.isa {
                Isa::Avx2 => int8_tile_pairs(x, weights, out),
                Isa::AvxVnni => int8_tile_vnni(x, weights, out),
                _ => int8_tile(x, weights, out),
            }
        }
    }
}

/// Scales, or offsets, of the groups of sixteen rows, a lane for each; 0 where there is no row.
struct Lanes<'a> {
    from: &'a [&'a QuantMatrix],
    rows: Rows,
    groups: Range<usize>,
    offsets: bool,
    /// `[groups]`.
    out: &'a mut [[f32; LANES]],
}

impl Kernel for Lanes<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Rows of scales are whole vectors, read from the one that has the first group.
        let first = self.groups.start / LANES * LANES;
        for start in (first..self.groups.end).step_by(LANES) {
            let mut block = [[0; LANES]; LANES];
            for lane in 0..self.rows.count {
                let (matrix, row) = row_of(self.from, self.rows.first + lane);
                let values = match (&matrix.offsets, self.offsets) {
                    (Some(offsets), true) => offsets,
                    _ => &matrix.scales,
                };
                let mut lanes = [0.0; LANES];
                s.store(&mut lanes, load_scales(s, values.row(row, matrix.stride), start / LANES));
                block[lane] = lanes.map(f32::to_bits);
            }
            s.transpose(&mut block);
            for (g, lanes) in (start..).zip(block) {
                if let Some(out) = g.checked_sub(self.groups.start).and_then(|g| self.out.get_mut(g))
                    && g < self.groups.end
                {
                    *out = lanes.map(f32::from_bits);
                }
            }
        }
    }
}

/// What sums of integers start with: `-ABOVE` times the sum of a group's weights.
struct Starts<'a> {
    lines: &'a [Line],
    group: usize,
    starts: &'a mut [[i32; LANES]],
}

impl Kernel for Starts<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (starts, lines) in self.starts.iter_mut().zip(self.lines.chunks_exact(self.group)) {
            let mut sums = [0; LANES];
            for line in lines {
                for lane in 0..LANES {
                    let word = line[lane].cast_signed();
                    // Each byte in turn becomes the highest, and comes down with its sign.
                    sums[lane] += (word << 24 >> 24) + (word << 16 >> 24) + (word << 8 >> 24) + (word >> 24);
                }
            }
            *starts = sums.map(|sum| -ABOVE * sum);
        }
    }
}
