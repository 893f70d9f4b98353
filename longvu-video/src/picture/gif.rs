//! The blocks of a GIF file.

use std::io::{Read, Seek};
use std::time::Duration;

use image::ImageFormat;

use super::walker::Walker;
use super::{Context, Facts};
use crate::{Result, Warning};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;
const GRAPHIC_CONTROL: u8 = 0xf9;

/// Size, pictures and times of a GIF.
pub(super) fn look<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Result<Facts> {
    let mut facts = Facts::new(ImageFormat::Gif);
    let Some([_, _, _, _, _, _, w0, w1, h0, h1, flags, _, _]) = walker.bytes() else {
        return Ok(facts);
    };
    facts.size = (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into());
    context.check(facts.size)?;
    let _ = skip_colours(walker, flags);
    let mut delay = Duration::ZERO;
    let mut whole = Some(());
    while whole.is_some() {
        whole = match walker.byte() {
            Some(EXTENSION) => extension(walker, &mut delay),
            Some(IMAGE) => picture(walker, context, &mut facts, &mut delay)?,
            Some(TRAILER) | None => break,
            Some(_) => None,
        };
    }
    let found = facts.delays.len();
    if whole.is_none() && found > 1 {
        facts.warnings.push(Warning::DamagedEnd { found });
    } else if whole.is_none() {
        facts.damaged("the file ends within the picture, or goes on with bytes that are no GIF");
    }
    Ok(facts)
}

/// A table of colours, if `flags` say that there is one.
fn skip_colours<R: Read + Seek>(walker: &mut Walker<R>, flags: u8) -> Option<()> {
    if flags & 0x80 == 0 { Some(()) } else { walker.skip(3 << ((flags & 7) + 1)) }
}

/// An extension; that of a picture's time sets `delay`.
fn extension<R: Read + Seek>(walker: &mut Walker<R>, delay: &mut Duration) -> Option<()> {
    if walker.byte()? == GRAPHIC_CONTROL {
        let size = walker.byte()?;
        if size < 4 {
            walker.skip(size.into())?;
        } else {
            let [_, low, high] = walker.bytes()?;
            *delay = Duration::from_millis(10 * u64::from(u16::from_le_bytes([low, high])));
            walker.skip(u64::from(size) - 3)?;
        }
        if size == 0 {
            return Some(());
        }
    }
    skip_blocks(walker)
}

/// A picture, which counts if its data are all there.
fn picture<R: Read + Seek>(
    walker: &mut Walker<R>,
    context: &Context<'_>,
    facts: &mut Facts,
    delay: &mut Duration,
) -> Result<Option<()>> {
    let Some([x0, x1, y0, y1, w0, w1, h0, h1, flags]) = walker.bytes() else { return Ok(None) };
    let size = (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into());
    context.check(size)?;
    if skip_colours(walker, flags).is_none() || walker.byte().is_none() || skip_blocks(walker).is_none() {
        return Ok(None);
    }
    let covers = [x0, x1, y0, y1] == [0; 4] && size.0 >= facts.size.0 && size.1 >= facts.size.1;
    if facts.delays.is_empty() && !covers {
        facts.warnings.push(Warning::Uncovered);
    }
    facts.add_delay(std::mem::take(delay));
    Ok(Some(()))
}

fn skip_blocks<R: Read + Seek>(walker: &mut Walker<R>) -> Option<()> {
    loop {
        match walker.byte()? {
            0 => return Some(()),
            size => walker.skip(size.into())?,
        }
    }
}
