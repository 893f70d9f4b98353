//! The products themselves: tiles 0 to 3 sum, 4 and 5 have rows of activations, 6 and 7 blocks of weights.
//!
//! The assembler knows the instructions without a target feature, so that stable Rust will do. No tile keeps anything from
//! one call to the next; only their configuration stays, which the compiler never touches.

use super::Amx;
use super::operands::{Operands, TILE_BYTES, TILE_ROWS};
use core::arch::asm;

/// What LDTILECFG reads.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// All eight tiles of palette 1 at their full size. One configuration serves every product, and parts of the program that
/// interrupt each other on a thread.
static FULL: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = TILE_BYTES as u8;
        bytes[48 + tile] = TILE_ROWS as u8;
        tile += 1;
    }
    Configuration(bytes)
};

/// Configures this thread's tiles.
pub(super) fn configure(_: Amx) {
    // SAFETY: the token proves that the instruction exists; it reads the 64 bytes of a valid configuration.
    unsafe {
        asm!(
            "ldtilecfg [{}]", in(reg) &raw const FULL,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Gives this thread's tiles back, which the system then need not save any more.
pub(super) fn release(_: Amx) {
    // SAFETY: the token proves that the instruction exists.
    unsafe {
        asm!(
            "tilerelease",
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, nomem, preserves_flags),
        );
    }
}

/// A line of assembly that a product has if its size does.
macro_rules! if_has {
    (yes, $line:expr) => {
        $line
    };
    (no, $line:expr) => {
        ""
    };
    (yes yes, $line:expr) => {
        $line
    };
    ($a:ident $b:ident, $line:expr) => {
        ""
    };
}

/// Asks for the sixteen lines of the tile four steps ahead, which suits the way from the third cache. Asking for what lies
/// behind the end does no harm.
macro_rules! prefetch {
    ($block:literal) => {
        concat!(
            prefetch!(@ $block, 4096, 4160, 4224, 4288, 4352, 4416, 4480, 4544),
            prefetch!(@ $block, 4608, 4672, 4736, 4800, 4864, 4928, 4992, 5056),
        )
    };
    (@ $block:literal, $($offset:literal),*) => {
        concat!($("prefetcht0 [{", $block, "} + ", $offset, "]\n"),*)
    };
}

/// A product of one or two tiles of rows and one or two blocks of outputs.
macro_rules! product {
    ($name:ident, $dot:literal, lower: $lower:ident, right: $right:ident) => {
        unsafe fn $name(operands: &Operands) {
            let Operands { a, a_stride, a_step, b, c, c_stride, steps, add } = *operands;
            // SAFETY: the caller promises that tiles are configured, and that the operands reach as far as this reads.
            unsafe {
                asm!(
                    "# {a1} {b1} {c1}",
                    "test {add:e}, {add:e}",
                    "jz 2f",
                    "tileloadd tmm0, [{c0} + {c_stride}*1]",
                    if_has!($right, "tileloadd tmm1, [{c0} + {c_stride}*1 + 64]"),
                    if_has!($lower, "tileloadd tmm2, [{c1} + {c_stride}*1]"),
                    if_has!($lower $right, "tileloadd tmm3, [{c1} + {c_stride}*1 + 64]"),
                    "jmp 3f",
                    "2:",
                    "tilezero tmm0",
                    if_has!($right, "tilezero tmm1"),
                    if_has!($lower, "tilezero tmm2"),
                    if_has!($lower $right, "tilezero tmm3"),
                    ".p2align 4",
                    "3:",
                    "tileloadd tmm6, [{b0} + {line}*1]",
                    "tileloadd tmm4, [{a0} + {a_stride}*1]",
                    concat!($dot, " tmm0, tmm4, tmm6"),
                    prefetch!("b0"),
                    if_has!($right, "tileloadd tmm7, [{b1} + {line}*1]"),
                    if_has!($right, concat!($dot, " tmm1, tmm4, tmm7")),
                    if_has!($lower, "tileloadd tmm5, [{a1} + {a_stride}*1]"),
                    if_has!($lower, concat!($dot, " tmm2, tmm5, tmm6")),
                    if_has!($right, prefetch!("b1")),
                    if_has!($lower $right, concat!($dot, " tmm3, tmm5, tmm7")),
                    "add {a0}, {a_step}",
                    "add {a1}, {a_step}",
                    "add {b0}, 1024",
                    "add {b1}, 1024",
                    "dec {steps}",
                    "jnz 3b",
                    "tilestored [{c0} + {c_stride}*1], tmm0",
                    if_has!($right, "tilestored [{c0} + {c_stride}*1 + 64], tmm1"),
                    if_has!($lower, "tilestored [{c1} + {c_stride}*1], tmm2"),
                    if_has!($lower $right, "tilestored [{c1} + {c_stride}*1 + 64], tmm3"),
                    a0 = inout(reg) a => _,
                    a1 = inout(reg) a.wrapping_add(TILE_ROWS * a_stride) => _,
                    a_stride = in(reg) a_stride,
                    a_step = in(reg) a_step,
                    b0 = inout(reg) b[0] => _,
                    b1 = inout(reg) b[1] => _,
                    line = in(reg) TILE_BYTES,
                    c0 = in(reg) c,
                    c1 = in(reg) c.wrapping_add(TILE_ROWS * c_stride),
                    c_stride = in(reg) c_stride,
                    steps = inout(reg) steps => _,
                    add = in(reg) u32::from(add),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

product!(bf16_1x1, "tdpbf16ps", lower: no, right: no);
product!(bf16_1x2, "tdpbf16ps", lower: no, right: yes);
product!(bf16_2x1, "tdpbf16ps", lower: yes, right: no);
product!(bf16_2x2, "tdpbf16ps", lower: yes, right: yes);
product!(int8_1x1, "tdpbusd", lower: no, right: no);
product!(int8_1x2, "tdpbusd", lower: no, right: yes);
product!(int8_2x1, "tdpbusd", lower: yes, right: no);
product!(int8_2x2, "tdpbusd", lower: yes, right: yes);

/// # Safety
/// Those of [`Dot::run`](super::Dot::run).
pub(super) unsafe fn bf16(_: Amx, lower: bool, right: bool, operands: &Operands) {
    // SAFETY: what the caller promises.
    unsafe {
        match (lower, right) {
            (false, false) => bf16_1x1(operands),
            (false, true) => bf16_1x2(operands),
            (true, false) => bf16_2x1(operands),
            (true, true) => bf16_2x2(operands),
        }
    }
}

/// # Safety
/// Those of [`Dot::run`](super::Dot::run).
pub(super) unsafe fn int8(_: Amx, lower: bool, right: bool, operands: &Operands) {
    // SAFETY: what the caller promises.
    unsafe {
        match (lower, right) {
            (false, false) => int8_1x1(operands),
            (false, true) => int8_1x2(operands),
            (true, false) => int8_2x1(operands),
            (true, true) => int8_2x2(operands),
        }
    }
}
