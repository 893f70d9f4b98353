//! The chunks of a WebP file.

use std::io::{Read, Seek};
use std::time::Duration;

use image::ImageFormat;

use super::walker::Walker;
use super::{Context, Facts, exif};
use crate::{Result, Warning};

const ANIMATED: u8 = 0x02;

const BROKEN_CHUNK: &str = "the sizes of its chunks contradict each other";

/// Size, pictures, times and orientation of a WebP.
pub(super) fn look<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Result<Facts> {
    let mut facts = Facts::new(ImageFormat::WebP);
    let Some(end) = header(walker) else {
        return Ok(facts);
    };
    let mut animated = false;
    let mut cut = end > walker.length();
    // Whether a chunk is too short for what it begins with.
    let mut broken = false;
    while let Some((kind, chunk_end, next)) = chunk(walker, end) {
        match &kind {
            b"VP8X" => {
                let Some([flags, _, _, _, w0, w1, w2, h0, h1, h2]) = bytes_within(walker, chunk_end) else {
                    broken = true;
                    break;
                };
                animated = flags & ANIMATED != 0;
                facts.has_canvas = animated;
                facts.size = (three([w0, w1, w2]) + 1, three([h0, h1, h2]) + 1);
                context.check(facts.size)?;
            }
            b"ANMF" => {
                let Some([.., d0, d1, d2, _]) = bytes_within::<16, _>(walker, chunk_end) else {
                    broken = true;
                    break;
                };
                if !check_parts(walker, chunk_end.min(walker.length()), context)? && chunk_end <= walker.length() {
                    facts.damaged(BROKEN_CHUNK);
                }
                if chunk_end <= walker.length() {
                    facts.add_delay(Duration::from_millis(three([d0, d1, d2]).into()));
                }
            }
            b"EXIF" => {
                let size = chunk_end.saturating_sub(walker.position());
                if let Some(data) = walker.vec(size, context.limits.metadata_bytes) {
                    facts.orientation = exif::orientation(&data);
                }
            }
            b"VP8 " | b"VP8L" => {
                let size = bitstream_size(walker, kind, chunk_end);
                context.check(size)?;
                if facts.size == (0, 0) {
                    facts.size = size;
                }
            }
            // Kinds are printable; zeros are what an interrupted download leaves.
            kind if kind.iter().any(|byte| !(b' '..=b'~').contains(byte)) => {
                broken = true;
                break;
            }
            _ => {}
        }
        if walker.skip_to(next.min(walker.length())).is_none() {
            broken = true;
            break;
        }
        if next > walker.length() {
            cut |= chunk_end > walker.length();
            break;
        }
    }
    if !animated {
        facts.delays.clear();
    }
    let found = facts.delays.len();
    if (cut || broken) && found > 1 {
        facts.warnings.push(Warning::DamagedEnd { found });
    } else if cut {
        facts.damaged("the file ends before the picture does");
    } else if broken {
        facts.damaged(BROKEN_CHUNK);
    }
    Ok(facts)
}

/// Passes the file's header; returns where the file says it ends.
pub(super) fn header<R: Read + Seek>(walker: &mut Walker<R>) -> Option<u64> {
    let [_, _, _, _, s0, s1, s2, s3, _, _, _, _] = walker.bytes()?;
    Some(u64::from(u32::from_le_bytes([s0, s1, s2, s3])) + 8)
}

/// Kind of the next chunk, the end of its data, and the place of the chunk after it, before `end`.
pub(super) fn chunk<R: Read + Seek>(walker: &mut Walker<R>, end: u64) -> Option<([u8; 4], u64, u64)> {
    if walker.position() + 8 > end {
        return None;
    }
    let [k0, k1, k2, k3, s0, s1, s2, s3] = walker.bytes()?;
    let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
    let chunk_end = walker.position() + size;
    Some(([k0, k1, k2, k3], chunk_end, chunk_end + (size & 1)))
}

/// Looks at the picture data of one picture of an animation, whose own size is what a decoder allocates; false if one of its
/// chunks is longer than the picture's. The walker stays before `end`.
fn check_parts<R: Read + Seek>(walker: &mut Walker<R>, end: u64, context: &Context<'_>) -> Result<bool> {
    while let Some((kind, chunk_end, next)) = chunk(walker, end) {
        if matches!(&kind, b"VP8 " | b"VP8L") {
            context.check(bitstream_size(walker, kind, chunk_end.min(end)))?;
        }
        // The last padding byte may be missing.
        if chunk_end > end || walker.skip_to(next.min(end)).is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Width and height in the header of picture data that end at `end`; zero if it is cut off or no header.
fn bitstream_size<R: Read + Seek>(walker: &mut Walker<R>, kind: [u8; 4], end: u64) -> (u32, u32) {
    if &kind == b"VP8L" {
        let Some([0x2f, b0, b1, b2, b3]) = bytes_within(walker, end) else { return (0, 0) };
        let bits = u32::from_le_bytes([b0, b1, b2, b3]);
        return ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
    }
    let Some([_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1]) = bytes_within(walker, end) else { return (0, 0) };
    ((u16::from_le_bytes([w0, w1]) & 0x3fff).into(), (u16::from_le_bytes([h0, h1]) & 0x3fff).into())
}

/// The next `N` bytes, if they lie before `end`.
fn bytes_within<const N: usize, R: Read + Seek>(walker: &mut Walker<R>, end: u64) -> Option<[u8; N]> {
    if walker.position() + N as u64 <= end { walker.bytes() } else { None }
}

/// A number of three bytes.
pub(super) fn three([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}
