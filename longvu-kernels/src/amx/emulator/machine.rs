//! What the tile instructions do, and when they do not: Intel's Software Developer's Manual, volume 2.

use std::ptr;

/// An instruction, with the addresses that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    Configure(usize),
    Release,
    Zero(usize),
    Load {
        tile: usize,
        start: usize,
        stride: usize,
    },
    Store {
        tile: usize,
        start: usize,
        stride: usize,
    },
    /// The tile of sums, of rows, and of columns.
    DotBf16([usize; 3]),
    DotInt8([usize; 3]),
}

/// Why an instruction is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// None of the instructions of [`Instruction`].
    Unknown,
    /// No tiles are configured, or not this one.
    Unconfigured,
    /// A configuration with what must not be set.
    Configuration,
    /// Tiles that do not fit each other, or are the same.
    Shapes,
}

impl Fault {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Unknown => "emulator: an unknown instruction\n",
            Self::Unconfigured => "emulator: a tile that is not configured\n",
            Self::Configuration => "emulator: a bad configuration\n",
            Self::Shapes => "emulator: tiles that do not fit each other\n",
        }
    }
}

/// Instructions carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub configured: usize,
    pub released: usize,
    pub zeroed: usize,
    pub loaded: usize,
    pub stored: usize,
    pub multiplied: usize,
}

/// A tile: its configuration, and what it holds, which is zero outside of it.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    bytes: usize,
    data: [[u8; 64]; 16],
}

impl Tile {
    const NONE: Self = Self { rows: 0, bytes: 0, data: [[0; 64]; 16] };

    fn word(&self, row: usize, column: usize) -> [u8; 4] {
        std::array::from_fn(|i| self.data[row][4 * column + i])
    }

    fn set_word(&mut self, row: usize, column: usize, word: [u8; 4]) {
        self.data[row][4 * column..4 * column + 4].copy_from_slice(&word);
    }
}

/// The tiles of a thread.
pub(super) struct Machine {
    tiles: [Tile; 8],
    pub counts: Counts,
}

impl Machine {
    pub(super) const fn new() -> Self {
        let counts = Counts { configured: 0, released: 0, zeroed: 0, loaded: 0, stored: 0, multiplied: 0 };
        Self { tiles: [Tile::NONE; 8], counts }
    }

    /// Carries out an instruction; if `wrong`, products are off by one.
    ///
    /// # Safety
    /// The memory that the instruction uses has to be there for it.
    pub(super) unsafe fn execute(&mut self, instruction: Instruction, wrong: bool) -> Result<(), Fault> {
        match instruction {
            Instruction::Configure(address) => {
                // SAFETY: what the caller promises.
                let bytes = unsafe { ptr::read_unaligned(address as *const [u8; 64]) };
                self.configure(&bytes)?;
                self.counts.configured += 1;
            }
            Instruction::Release => {
                self.tiles = [Tile::NONE; 8];
                self.counts.released += 1;
            }
            Instruction::Zero(tile) => {
                self.tile(tile)?.data = Tile::NONE.data;
                self.counts.zeroed += 1;
            }
            Instruction::Load { tile, start, stride } => {
                let tile = self.tile(tile)?;
                tile.data = Tile::NONE.data;
                for (r, row) in tile.data[..tile.rows].iter_mut().enumerate() {
                    let from = start.wrapping_add(r.wrapping_mul(stride)) as *const u8;
                    // SAFETY: what the caller promises.
                    unsafe { ptr::copy_nonoverlapping(from, row.as_mut_ptr(), tile.bytes) }
                }
                self.counts.loaded += 1;
            }
            Instruction::Store { tile, start, stride } => {
                let tile = self.tile(tile)?;
                for (r, row) in tile.data[..tile.rows].iter().enumerate() {
                    let to = start.wrapping_add(r.wrapping_mul(stride)) as *mut u8;
                    // SAFETY: what the caller promises.
                    unsafe { ptr::copy_nonoverlapping(row.as_ptr(), to, tile.bytes) }
                }
                self.counts.stored += 1;
            }
            Instruction::DotBf16(tiles) => self.dot(tiles, wrong, dot_bf16)?,
            Instruction::DotInt8(tiles) => self.dot(tiles, wrong, dot_int8)?,
        }
        Ok(())
    }

    fn tile(&mut self, tile: usize) -> Result<&mut Tile, Fault> {
        if self.tiles[tile].rows == 0 { Err(Fault::Unconfigured) } else { Ok(&mut self.tiles[tile]) }
    }

    fn configure(&mut self, bytes: &[u8; 64]) -> Result<(), Fault> {
        let reserved = bytes[1..16].iter().chain(&bytes[32..48]).chain(&bytes[56..]);
        let mut tiles = [Tile::NONE; 8];
        for (n, tile) in tiles.iter_mut().enumerate() {
            tile.bytes = usize::from(u16::from_le_bytes([bytes[16 + 2 * n], bytes[17 + 2 * n]]));
            tile.rows = usize::from(bytes[48 + n]);
        }
        let fits = |tile: &Tile| tile.bytes <= 64 && tile.rows <= 16 && (tile.bytes == 0) == (tile.rows == 0);
        match bytes[0] {
            0 => self.tiles = [Tile::NONE; 8],
            1 if reserved.copied().all(|byte| byte == 0) && tiles.iter().all(fits) => self.tiles = tiles,
            _ => return Err(Fault::Configuration),
        }
        Ok(())
    }

    /// Adds to each word of the first tile, by `dot`, the words of a row of the second and of a column of the third.
    fn dot(
        &mut self,
        tiles: [usize; 3],
        wrong: bool,
        dot: fn([u8; 4], Words, Words, usize) -> [u8; 4],
    ) -> Result<(), Fault> {
        for tile in tiles {
            self.tile(tile)?;
        }
        let [sums, rows, columns] = tiles.map(|tile| self.tiles[tile]);
        let whole = [sums, rows, columns].iter().all(|tile| tile.bytes % 4 == 0);
        let distinct = tiles[0] != tiles[1] && tiles[0] != tiles[2] && tiles[1] != tiles[2];
        let fit = sums.bytes == columns.bytes && sums.rows == rows.rows && rows.bytes == 4 * columns.rows;
        if !whole || !distinct || !fit {
            return Err(Fault::Shapes);
        }
        for r in 0..sums.rows {
            for c in 0..sums.bytes / 4 {
                let mut word = dot(sums.word(r, c), &|k| rows.word(r, k), &|k| columns.word(k, c), columns.rows);
                word[0] ^= u8::from(wrong);
                self.tiles[tiles[0]].set_word(r, c, word);
            }
        }
        self.counts.multiplied += 1;
        Ok(())
    }
}

type Words<'a> = &'a dyn Fn(usize) -> [u8; 4];

/// Even and odd numbers are summed apart, from zero on, then together, then with what was there.
fn dot_bf16(sum: [u8; 4], a: Words, b: Words, count: usize) -> [u8; 4] {
    let number = |word: [u8; 4], half: usize| f32::from_le_bytes([0, 0, word[2 * half], word[2 * half + 1]]);
    let mut sums = [0.0f32; 2];
    for k in 0..count {
        for (half, sum) in sums.iter_mut().enumerate() {
            *sum = normal(normal(number(a(k), half)).mul_add(normal(number(b(k), half)), *sum));
        }
    }
    normal(normal(f32::from_le_bytes(sum)) + normal(sums[0] + sums[1])).to_le_bytes()
}

/// Zero of the same sign for numbers below the normal ones.
fn normal(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

fn dot_int8(sum: [u8; 4], a: Words, b: Words, count: usize) -> [u8; 4] {
    let mut sum = i32::from_le_bytes(sum);
    for k in 0..count {
        for (a, b) in a(k).into_iter().zip(b(k)) {
            sum = sum.wrapping_add(i32::from(a) * i32::from(b as i8));
        }
    }
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles of sums, rows and columns in places 0, 1 and 2.
    fn configuration(rows: [u8; 3], bytes: [u8; 3]) -> [u8; 64] {
        let mut configuration = [0; 64];
        configuration[0] = 1;
        for n in 0..3 {
            configuration[16 + 2 * n] = bytes[n];
            configuration[48 + n] = rows[n];
        }
        configuration
    }

    fn execute(machine: &mut Machine, instruction: Instruction) -> Result<(), Fault> {
        // SAFETY: the instructions of these tests use arrays of theirs.
        unsafe { machine.execute(instruction, false) }
    }

    /// Tiles of one word each, with these contents.
    fn product(instruction: Instruction, words: [[u8; 4]; 3]) -> [u8; 4] {
        let mut machine = Machine::new();
        machine.configure(&configuration([1, 1, 1], [4, 4, 4])).unwrap();
        for (tile, word) in words.iter().enumerate() {
            execute(&mut machine, Instruction::Load { tile, start: word.as_ptr() as usize, stride: 64 }).unwrap();
        }
        execute(&mut machine, instruction).unwrap();
        let mut sum = [0u8; 4];
        execute(&mut machine, Instruction::Store { tile: 0, start: sum.as_mut_ptr() as usize, stride: 64 }).unwrap();
        sum
    }

    #[test]
    fn bad_configurations_are_refused() {
        let good = configuration([16, 4, 3], [64, 12, 64]);
        let mut machine = Machine::new();
        assert_eq!(machine.configure(&good), Ok(()));
        // Palette, start row, reserved bytes, too many bytes, too many rows, rows without bytes.
        for (place, value) in [(0, 2), (1, 1), (2, 1), (33, 1), (60, 1), (16, 65), (17, 1), (48, 17), (52, 1)] {
            let mut bad = good;
            bad[place] = value;
            assert_eq!(machine.configure(&bad), Err(Fault::Configuration), "byte {place}");
        }
    }

    #[test]
    fn tiles_have_to_be_configured_and_to_fit() {
        let dot = Instruction::DotBf16([0, 1, 2]);
        let mut machine = Machine::new();
        assert_eq!(execute(&mut machine, dot), Err(Fault::Unconfigured));
        assert_eq!(execute(&mut machine, Instruction::Zero(0)), Err(Fault::Unconfigured));
        machine.configure(&configuration([2, 2, 3], [16, 12, 16])).unwrap();
        assert_eq!(execute(&mut machine, dot), Ok(()));
        assert_eq!(execute(&mut machine, Instruction::Zero(3)), Err(Fault::Unconfigured));
        for same in [[0, 0, 2], [0, 1, 1], [0, 1, 0]] {
            machine.configure(&configuration([4, 4, 4], [16, 16, 16])).unwrap();
            assert_eq!(execute(&mut machine, Instruction::DotInt8(same)), Err(Fault::Shapes));
        }
        for (rows, bytes) in [([1, 2, 3], [16, 12, 16]), ([2, 2, 3], [12, 12, 16]), ([2, 2, 2], [16, 12, 16])] {
            machine.configure(&configuration(rows, bytes)).unwrap();
            assert_eq!(execute(&mut machine, dot), Err(Fault::Shapes));
        }
        machine.configure(&configuration([2, 2, 3], [16, 12, 16])).unwrap();
        execute(&mut machine, Instruction::Release).unwrap();
        assert_eq!(execute(&mut machine, dot), Err(Fault::Unconfigured));
    }

    #[test]
    fn bf16_sums_even_and_odd_inputs_apart_and_has_no_small_numbers() {
        let pair = |even: f32, odd: f32| {
            let [_, _, a, b] = even.to_le_bytes();
            let [_, _, c, d] = odd.to_le_bytes();
            [a, b, c, d]
        };
        let dot =
            |sum: f32, a, b| f32::from_le_bytes(product(Instruction::DotBf16([0, 1, 2]), [sum.to_le_bytes(), a, b]));
        assert_eq!(dot(1.0, pair(2.0, 3.0), pair(5.0, 7.0)), 32.0);
        // In one chain from the sum on, the small one would be lost.
        assert_eq!(dot(1.0, pair(1e30, -1e30), pair(1.0, 1.0)), 1.0);
        // One below the smallest normal number: as an input, as a product, and as a sum.
        let small = f32::from_bits(0x0040_0000);
        assert_eq!(dot(0.0, pair(small, 0.0), pair(1e30, 0.0)), 0.0);
        assert_eq!(dot(0.0, pair(1e-30, 0.0), pair(1e-10, 0.0)), 0.0);
        assert_eq!(dot(small, pair(0.0, 0.0), pair(0.0, 0.0)), 0.0);
    }

    #[test]
    fn int8_multiplies_unsigned_by_signed_and_wraps() {
        let dot = |sum: i32, a: [u8; 4], b: [i8; 4]| {
            let words = [sum.to_le_bytes(), a, b.map(|b| b as u8)];
            i32::from_le_bytes(product(Instruction::DotInt8([0, 1, 2]), words))
        };
        assert_eq!(dot(10, [255, 1, 128, 0], [-128, 2, 127, -1]), 10 - 32_640 + 2 + 16_256);
        assert_eq!(dot(i32::MAX, [1, 0, 0, 0], [1, 0, 0, 0]), i32::MIN);
    }
}
