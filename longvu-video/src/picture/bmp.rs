//! The headers of a BMP file.

use std::io::{Read, Seek};

use image::ImageFormat;

use super::walker::Walker;
use super::{Context, Facts};
use crate::Result;

/// Bytes of the oldest second header, which has 16-bit sides.
const CORE_HEADER: u32 = 12;

/// Whether the bytes go on as a bitmap: "BM" alone could begin a text.
pub(super) fn is_bmp(head: &[u8]) -> bool {
    matches!(head, [_, _, _, _, _, _, _, _, _, _, _, _, _, _, 12..=124, 0, 0, 0, ..])
}

/// Size of a BMP.
pub(super) fn look<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Result<Facts> {
    let mut facts = Facts::new(ImageFormat::Bmp);
    let header = walker.skip(14).and_then(|()| walker.bytes::<4>()).map(u32::from_le_bytes);
    facts.size = match header {
        Some(CORE_HEADER) => walker.bytes().map_or((0, 0), |[w0, w1, h0, h1]| {
            (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into())
        }),
        // A negative height means rows from the top.
        _ => walker.bytes().map_or((0, 0), |[w0, w1, w2, w3, h0, h1, h2, h3]| {
            (i32::from_le_bytes([w0, w1, w2, w3]).unsigned_abs(), i32::from_le_bytes([h0, h1, h2, h3]).unsigned_abs())
        }),
    };
    context.check(facts.size)?;
    Ok(facts)
}
