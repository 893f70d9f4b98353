//! Intel AMX: matrix products on tiles of sixteen rows of 64 bytes, by inline assembly.
//!
//! One call of [`Tiles::multiply`] adds up to 32 rows of activations times up to 32 outputs into four accumulating tiles.
//! What cuts whole matrices into such pieces, and packs them, stands elsewhere.
//!
//! Packed weights are blocks of [`BLOCK_OUTPUTS`] outputs. A block has its inputs in groups that fill 32 bits, two of bf16
//! or four of int8, and for each group the weights of all sixteen outputs: `[inputs / 2][16][2]` or `[inputs / 4][16][4]`.
//! Sixteen groups are a kilobyte, which is a tile: a *step* of [`Dot::DEPTH`] inputs.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod absent;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod detect;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod emulator;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kernel;
mod operands;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod probe;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests;
mod tiles;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
use absent as kernel;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) use absent::Amx;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use detect::Amx;
pub(crate) use operands::{BLOCK_OUTPUTS, Bf16, Dot, Int8, Lhs, MAX_OUTPUTS, MAX_ROWS, Out};
pub(crate) use tiles::Tiles;
