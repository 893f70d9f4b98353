//! The segments of a JPEG file.

use std::io::{Read, Seek};

use image::ImageFormat;

use super::walker::Walker;
use super::{Context, Facts, exif};
use crate::limits::MAX_PADDING;
use crate::{Result, Warning};

pub(super) const SOI: u8 = 0xd8;
pub(super) const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;

/// A picture's segments, up to its end.
#[derive(Default)]
struct Picture {
    size: Option<(u32, u32)>,
    /// Whether the file says that it has several pictures, of which this is the main one (CIPA's multi-picture format).
    is_main: bool,
    exif: Option<Vec<u8>>,
    /// The kind of JPEG, if not one that is read.
    refused: Option<&'static str>,
    ended: bool,
}

/// Size and orientation of a JPEG, and whether others follow it as in a stream.
pub(super) fn look<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Result<Facts> {
    let mut facts = Facts::new(ImageFormat::Jpeg);
    let first = Picture::read(walker, context);
    if let Some(kind) = first.refused {
        return Err(context.refuse(kind));
    }
    facts.size = first.size.unwrap_or_default();
    context.check(facts.size)?;
    if let Some(data) = &first.exif {
        facts.orientation = exif::orientation(data);
    }
    if first.ended && !first.is_main && skip_to_next(walker) {
        let second = Picture::read(walker, context);
        // A stream goes on in one size; a smaller picture behind a photo is a preview.
        facts.is_stream = second.size.is_some() && second.size == first.size;
        if !facts.is_stream && second.size.is_some() {
            facts.warnings.push(Warning::MorePictures);
        }
    }
    Ok(facts)
}

/// Whether another picture follows, perhaps after padding; the walker is then behind its first marker's first byte.
fn skip_to_next<R: Read + Seek>(walker: &mut Walker<R>) -> bool {
    for _ in 0..MAX_PADDING {
        match walker.byte() {
            Some(0) => {}
            Some(0xff) => match walker.byte() {
                Some(SOI) => return true,
                Some(0 | 0xff) => {}
                _ => return false,
            },
            _ => return false,
        }
    }
    false
}

impl Picture {
    /// Reads segments from behind, or at, the start marker to behind the end marker.
    fn read<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Self {
        let mut picture = Self::default();
        while !picture.ended && picture.refused.is_none() {
            let Some(marker) = next_marker(walker) else { break };
            if picture.segment(walker, marker, context).is_none() {
                break;
            }
        }
        picture
    }

    fn segment<R: Read + Seek>(&mut self, walker: &mut Walker<R>, marker: u8, context: &Context<'_>) -> Option<()> {
        match marker {
            0x01 | 0xd0..=SOI => return Some(()),
            EOI => {
                self.ended = true;
                return Some(());
            }
            _ => {}
        }
        let length = walker.bytes().map(u16::from_be_bytes)?;
        let end = walker.position() + u64::from(length.checked_sub(2)?);
        match marker {
            0xc0..=0xcf | 0xf7 if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [precision, h0, h1, w0, w1] = walker.bytes()?;
                self.refused = self.refused.or(refused_kind(marker, precision));
                let size = (u16::from_be_bytes([w0, w1]).into(), u16::from_be_bytes([h0, h1]).into());
                self.size = self.size.or(Some(size));
            }
            APP1 if self.exif.is_none() => {
                let data = walker.vec(end - walker.position(), context.limits.metadata_bytes)?;
                self.exif = data.starts_with(b"Exif\0\0").then_some(data);
            }
            APP2 => self.is_main |= walker.bytes() == Some(*b"MPF\0"),
            _ => {}
        }
        walker.skip_to(end.max(walker.position()))
    }
}

/// The next marker, past anything that is none: the data of a scan with its restart markers, and fill bytes.
fn next_marker<R: Read + Seek>(walker: &mut Walker<R>) -> Option<u8> {
    while walker.skip_past(0xff) {
        let mut marker = walker.byte()?;
        while marker == 0xff {
            marker = walker.byte()?;
        }
        if marker != 0 && !(0xd0..=0xd7).contains(&marker) {
            return Some(marker);
        }
    }
    None
}

/// The name of a kind of JPEG that is not read.
fn refused_kind(frame: u8, precision: u8) -> Option<&'static str> {
    match frame {
        0xc0..=0xc2 if precision == 8 => None,
        0xc0..=0xc2 => Some("JPEG with more than 8 bits a sample"),
        0xc3 => Some("lossless JPEG"),
        0xc5..=0xc7 => Some("hierarchical JPEG"),
        0xf7 => Some("JPEG-LS"),
        _ => Some("JPEG with arithmetic coding"),
    }
}
