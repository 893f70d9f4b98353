//! The encodings of the tile instructions: Intel's Software Developer's Manual, volume 2.

use super::machine::{Fault, Instruction};

/// Decodes what `code` at address `rip` begins with. Returns the instruction, with its addresses, and its length.
pub(super) fn decode(code: &[u8; 15], rip: usize, registers: &[usize; 16]) -> Result<(Instruction, usize), Fault> {
    let [0xc4, first, second, opcode, modrm, ..] = *code else { return Err(Fault::Unknown) };
    // The second map of opcodes, W0, L0.
    if first & 0x1f != 2 || second & 0x84 != 0 {
        return Err(Fault::Unknown);
    }
    let vvvv = usize::from(!second >> 3 & 15);
    let (mode, reg, rm) = (modrm >> 6, usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    let operand = Operand { code, rip, registers, extend_index: first & 0x40 == 0, extend_base: first & 0x20 == 0 };
    // R extends `reg`, and no tile has a number above seven.
    if first & 0x80 == 0 {
        return Err(Fault::Unknown);
    }
    let prefix = ["", "66", "f3", "f2"][usize::from(second & 3)];
    match (prefix, opcode, mode) {
        ("f3", 0x5c, 3) | ("66", 0x5e, 3) => {
            if operand.extend_base || vvvv > 7 {
                return Err(Fault::Unknown);
            }
            let tiles = [reg, rm, vvvv];
            Ok((if opcode == 0x5c { Instruction::DotBf16(tiles) } else { Instruction::DotInt8(tiles) }, 5))
        }
        _ if vvvv != 0 => Err(Fault::Unknown),
        ("", 0x49, 3) if modrm == 0xc0 => Ok((Instruction::Release, 5)),
        ("f2", 0x49, 3) if rm == 0 => Ok((Instruction::Zero(reg), 5)),
        ("", 0x49, 0..3) if reg == 0 => {
            let (address, length) = operand.address()?;
            Ok((Instruction::Configure(address), length))
        }
        ("f2" | "f3", 0x4b, 0..3) => {
            let (start, stride, length) = operand.rows()?;
            let load = Instruction::Load { tile: reg, start, stride };
            Ok((if prefix == "f2" { load } else { Instruction::Store { tile: reg, start, stride } }, length))
        }
        _ => Err(Fault::Unknown),
    }
}

/// A place in memory, from the ModRM byte on.
struct Operand<'a> {
    code: &'a [u8; 15],
    rip: usize,
    registers: &'a [usize; 16],
    extend_index: bool,
    extend_base: bool,
}

impl Operand<'_> {
    fn mode(&self) -> u8 {
        self.code[4] >> 6
    }

    /// The address, and the length of the instruction.
    fn address(&self) -> Result<(usize, usize), Fault> {
        if self.code[4] & 7 == 4 {
            let (start, index, length) = self.rows()?;
            return Ok((start.wrapping_add(index), length));
        }
        let (displacement, length) = self.displacement(5, self.code[4] & 7 == 5);
        let base = match (self.mode(), self.code[4] & 7) {
            (0, 5) => self.rip + length,
            (_, base) => self.registers[usize::from(base) + 8 * usize::from(self.extend_base)],
        };
        Ok((base.wrapping_add(displacement), length))
    }

    /// Base and displacement of an operand with an SIB byte, its scaled index, and the length of the instruction.
    fn rows(&self) -> Result<(usize, usize, usize), Fault> {
        if self.code[4] & 7 != 4 {
            return Err(Fault::Unknown);
        }
        let (scale, index, base) = (self.code[5] >> 6, self.code[5] >> 3 & 7, self.code[5] & 7);
        let (displacement, length) = self.displacement(6, base == 5);
        let base = match (self.mode(), base) {
            (0, 5) => 0,
            _ => self.registers[usize::from(base) + 8 * usize::from(self.extend_base)],
        };
        let index = match usize::from(index) + 8 * usize::from(self.extend_index) {
            4 => 0,
            index => self.registers[index] << scale,
        };
        Ok((base.wrapping_add(displacement), index, length))
    }

    /// The displacement at byte `at`, and the length of the instruction. In mode 0, base 5 stands for none but a displacement.
    fn displacement(&self, at: usize, base5: bool) -> (usize, usize) {
        let long = || i32::from_le_bytes([self.code[at], self.code[at + 1], self.code[at + 2], self.code[at + 3]]);
        match self.mode() {
            0 if !base5 => (0, at),
            1 => (self.code[at] as i8 as usize, at + 1),
            _ => (long() as usize, at + 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers that hold a thousand times their number.
    fn decoded(code: &[u8]) -> Result<(Instruction, usize), Fault> {
        let mut bytes = [0x90; 15];
        bytes[..code.len()].copy_from_slice(code);
        decode(&bytes, 100_000, &std::array::from_fn(|n| 1000 * n))
    }

    /// From LLVM's assembler.
    #[test]
    fn instructions_are_what_the_assembler_makes_of_them() {
        let cases: [(&[u8], Instruction); 16] = [
            // ldtilecfg [rdx], [rip + 16], [r13 - 8] and [rsp + r12*2 + 256]
            (&[0xc4, 0xe2, 0x78, 0x49, 0x02], Instruction::Configure(2000)),
            (&[0xc4, 0xe2, 0x78, 0x49, 0x05, 16, 0, 0, 0], Instruction::Configure(100_025)),
            (&[0xc4, 0xc2, 0x78, 0x49, 0x45, 0xf8], Instruction::Configure(12_992)),
            (&[0xc4, 0xa2, 0x78, 0x49, 0x84, 0x64, 0, 1, 0, 0], Instruction::Configure(28_256)),
            (&[0xc4, 0xe2, 0x78, 0x49, 0xc0], Instruction::Release),
            // tilezero tmm0 and tmm5
            (&[0xc4, 0xe2, 0x7b, 0x49, 0xc0], Instruction::Zero(0)),
            (&[0xc4, 0xe2, 0x7b, 0x49, 0xe8], Instruction::Zero(5)),
            // tileloadd tmm4, [rdi + rsi]; tmm6, [rdi + rsi + 1024]; tmm1, [r13 + r14*4]; tmm2, [r9 + r8*8 - 128];
            // tmm3, [rax] without an index; tmm7, [rcx*2 + 64] without a base
            (&[0xc4, 0xe2, 0x7b, 0x4b, 0x24, 0x37], Instruction::Load { tile: 4, start: 7000, stride: 6000 }),
            (
                &[0xc4, 0xe2, 0x7b, 0x4b, 0xb4, 0x37, 0, 4, 0, 0],
                Instruction::Load { tile: 6, start: 8024, stride: 6000 },
            ),
            (&[0xc4, 0x82, 0x7b, 0x4b, 0x4c, 0xb5, 0], Instruction::Load { tile: 1, start: 13_000, stride: 56_000 }),
            (&[0xc4, 0x82, 0x7b, 0x4b, 0x54, 0xc1, 0x80], Instruction::Load { tile: 2, start: 8872, stride: 64_000 }),
            (&[0xc4, 0xe2, 0x7b, 0x4b, 0x1c, 0x20], Instruction::Load { tile: 3, start: 0, stride: 0 }),
            (
                &[0xc4, 0xe2, 0x7b, 0x4b, 0x3c, 0x4d, 64, 0, 0, 0],
                Instruction::Load { tile: 7, start: 64, stride: 2000 },
            ),
            // tilestored [rdi + rsi], tmm0
            (&[0xc4, 0xe2, 0x7a, 0x4b, 0x04, 0x37], Instruction::Store { tile: 0, start: 7000, stride: 6000 }),
            // tdpbf16ps and tdpbusd tmm0, tmm4, tmm6
            (&[0xc4, 0xe2, 0x4a, 0x5c, 0xc4], Instruction::DotBf16([0, 4, 6])),
            (&[0xc4, 0xe2, 0x49, 0x5e, 0xc4], Instruction::DotInt8([0, 4, 6])),
        ];
        for (code, instruction) in cases {
            assert_eq!(decoded(code), Ok((instruction, code.len())), "{code:02x?}");
        }
    }

    #[test]
    fn others_are_unknown() {
        let cases: [&[u8]; 8] = [
            // ud2
            &[0x0f, 0x0b],
            // tdpbssd
            &[0xc4, 0xe2, 0x4b, 0x5e, 0xc4],
            // A load without an SIB byte, and one that uses vvvv.
            &[0xc4, 0xe2, 0x7b, 0x4b, 0x03],
            &[0xc4, 0xe2, 0x4b, 0x4b, 0x24, 0x37],
            // A tile above seven in each place.
            &[0xc4, 0x62, 0x4a, 0x5c, 0xc4],
            &[0xc4, 0xc2, 0x4a, 0x5c, 0xc4],
            &[0xc4, 0xe2, 0x0a, 0x5c, 0xc4],
            // W1
            &[0xc4, 0xe2, 0xca, 0x5c, 0xc4],
        ];
        for code in cases {
            assert_eq!(decoded(code), Err(Fault::Unknown), "{code:02x?}");
        }
    }
}
