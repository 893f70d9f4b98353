//! Loops of x86-64's instructions. They are assembly, for of intrinsics a compiler would take out what does not change.

use std::arch::{asm, x86_64::__cpuid_count};

use super::Instruction;

/// Accumulators of a loop: more than an instruction's latency times the units that execute it.
const ACCUMULATORS: usize = 12;

/// One line for each accumulator, `{before}N{after}`.
macro_rules! twelve {
    ($before:literal, $after:literal) => {
        concat!(
            twelve!(@ $before, $after, 0), twelve!(@ $before, $after, 1), twelve!(@ $before, $after, 2),
            twelve!(@ $before, $after, 3), twelve!(@ $before, $after, 4), twelve!(@ $before, $after, 5),
            twelve!(@ $before, $after, 6), twelve!(@ $before, $after, 7), twelve!(@ $before, $after, 8),
            twelve!(@ $before, $after, 9), twelve!(@ $before, $after, 10), twelve!(@ $before, $after, 11),
        )
    };
    (@ $before:literal, $after:literal, $n:literal) => { concat!($before, $n, $after, "\n") };
}

/// `$lines` in a loop, with every accumulator zero and both factors `$pattern` repeated.
macro_rules! vectors {
    ($name:ident, $pattern:ident, $register:literal, $lines:expr) => {
        fn $name(passes: usize) {
            // SAFETY: `instructions` offers it only where the processor and the system have the instructions; registers
            // that are written are named, flags are taken to change, and memory is read at `factor` only.
            unsafe {
                asm!(
                    twelve!("vxorps xmm", ", xmm0, xmm0"),
                    concat!("vbroadcastss ", $register, "13, dword ptr [{factor}]"),
                    concat!("vbroadcastss ", $register, "14, dword ptr [{factor}]"),
                    "2:",
                    $lines,
                    "dec rcx",
                    "jnz 2b",
                    "vzeroupper",
                    inout("rcx") passes.max(1) => _,
                    factor = in(reg) &$pattern,
                    clobber_abi("C"),
                    options(nostack, readonly),
                )
            }
        }
    };
}

const ONE_F32: u32 = 0x3f80_0000;
const ONE_BF16: u32 = 0x3f80_3f80;
const ONE_INT8: u32 = 0x0101_0101;

vectors!(f32_avx2, ONE_F32, "ymm", twelve!("vfmadd231ps ymm", ", ymm13, ymm14"));
vectors!(f32_avx512, ONE_F32, "zmm", twelve!("vfmadd231ps zmm", ", zmm13, zmm14"));
vectors!(bf16_avx512, ONE_BF16, "zmm", twelve!("vdpbf16ps zmm", ", zmm13, zmm14"));
vectors!(int8_avx512, ONE_INT8, "zmm", twelve!("vpdpbusd zmm", ", zmm13, zmm14"));
vectors!(int8_avx_vnni, ONE_INT8, "ymm", twelve!("{{vex}} vpdpbusd ymm", ", ymm13, ymm14"));
// Bytes to pairs, pairs to fours, and the sum: three instructions for what the others do in one.
vectors!(
    int8_avx2,
    ONE_INT8,
    "ymm",
    twelve!("vpmaddubsw ymm15, ymm13, ymm14\n vpmaddwd ymm15, ymm15, ymm14\n vpaddd ymm", ", ymm15, ymm14")
);

/// What configures tiles: palette 1, and eight tiles of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Tiles([u8; 64]);

const TILES: Tiles = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Tiles(bytes)
};

/// A product of tiles in a loop, with six accumulators of the eight registers.
macro_rules! tiles {
    ($name:ident, $product:literal) => {
        fn $name(passes: usize) {
            // SAFETY: `instructions` offers it only where the processor has tiles and the system permits them;
            // registers that are written are named, flags are taken to change, and tiles are given back.
            unsafe {
                asm!(
                    "ldtilecfg [{tiles}]",
                    "tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3",
                    "tilezero tmm4", "tilezero tmm5", "tilezero tmm6", "tilezero tmm7",
                    "2:",
                    concat!($product, " tmm0, tmm6, tmm7"), concat!($product, " tmm1, tmm6, tmm7"),
                    concat!($product, " tmm2, tmm6, tmm7"), concat!($product, " tmm3, tmm6, tmm7"),
                    concat!($product, " tmm4, tmm6, tmm7"), concat!($product, " tmm5, tmm6, tmm7"),
                    "dec rcx",
                    "jnz 2b",
                    "tilerelease",
                    inout("rcx") passes.max(1) => _,
                    tiles = in(reg) &TILES,
                    clobber_abi("C"),
                    options(nostack, readonly),
                )
            }
        }
    };
}

tiles!(bf16_amx, "tdpbf16ps");
tiles!(int8_amx, "tdpbssd");

/// Whether the processor has tiles, and the system lets this process use them.
fn tiles_permitted() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    if !cfg!(target_os = "linux") || leaf_7_edx() & (1 << 24) == 0 {
        return false;
    }
    let result: isize;
    // SAFETY: the system call reads two numbers, and changes nothing but what the process may do.
    unsafe {
        asm!(
            "syscall", inlateout("rax") ARCH_PRCTL as isize => result, in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA, lateout("rcx") _, lateout("r11") _, options(nostack),
        );
    }
    result == 0
}

/// CPUID's bits 22, 24 and 25: bf16 tiles, tiles, int8 tiles.
fn leaf_7_edx() -> u32 {
    __cpuid_count(7, 0).edx
}

/// What this machine has, widest last.
pub fn instructions() -> Vec<Instruction> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f");
    let tiles = tiles_permitted();
    let vector = |bytes: usize, operations_of_four: usize| ACCUMULATORS * bytes / 4 * operations_of_four;
    let instruction = |has: bool, name, level, format, operations, run: fn(usize)| {
        has.then_some(Instruction { name, level, format, operations, run })
    };
    let bf16_tiles = tiles && leaf_7_edx() & (1 << 22) != 0;
    let int8_tiles = tiles && leaf_7_edx() & (1 << 25) != 0;
    let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    let avx_vnni = is_x86_feature_detected!("avxvnni");
    let vnni = avx512 && is_x86_feature_detected!("avx512vnni");
    let (ymm, zmm, tile) = (32, 64, 6 * 16 * 16);
    [
        instruction(avx2, "vfmadd231ps ymm", "avx2", "f32", vector(ymm, 2), f32_avx2),
        instruction(avx512, "vfmadd231ps zmm", "avx512", "f32", vector(zmm, 2), f32_avx512),
        instruction(bf16, "vdpbf16ps zmm", "avx512-bf16", "bf16", vector(zmm, 4), bf16_avx512),
        instruction(bf16_tiles, "tdpbf16ps tmm", "amx-bf16", "bf16", tile * 32 * 2, bf16_amx),
        instruction(avx2, "vpmaddubsw, vpmaddwd, vpaddd ymm", "avx2", "int8", vector(ymm, 8), int8_avx2),
        instruction(avx_vnni, "vpdpbusd ymm", "avx-vnni", "int8", vector(ymm, 8), int8_avx_vnni),
        instruction(vnni, "vpdpbusd zmm", "avx512-vnni", "int8", vector(zmm, 8), int8_avx512),
        instruction(int8_tiles, "tdpbssd tmm", "amx-int8", "int8", tile * 64 * 2, int8_amx),
    ]
    .into_iter()
    .flatten()
    .collect()
}
