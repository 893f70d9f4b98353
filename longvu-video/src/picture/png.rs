//! The chunks of a PNG file.

use std::io::{Read, Seek};
use std::time::Duration;

use flate2::read::ZlibDecoder;
use image::ImageFormat;

use super::walker::Walker;
use super::{Context, Facts, exif};
use crate::{Result, Warning};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// What an animation's chunks have told so far.
#[derive(Default)]
struct Animation {
    /// Pictures that the file promises; `None` for a still picture.
    declared: Option<u32>,
    /// The time of the picture whose data are being passed.
    pending: Option<Duration>,
    pending_has_data: bool,
}

/// Size, pictures, times and orientation of a PNG.
pub(super) fn look<R: Read + Seek>(walker: &mut Walker<R>, context: &Context<'_>) -> Result<Facts> {
    let mut facts = Facts::new(ImageFormat::Png);
    let mut animation = Animation::default();
    if walker.skip(8).is_none() {
        return Ok(facts);
    }
    let mut has_exif = false;
    let mut seen_data = false;
    let mut ended = false;
    while let Some([l0, l1, l2, l3, k0, k1, k2, k3]) = walker.bytes() {
        let length = u64::from(u32::from_be_bytes([l0, l1, l2, l3]));
        let end = walker.position().saturating_add(length).saturating_add(4);
        match &[k0, k1, k2, k3] {
            b"IHDR" => {
                let Some([w0, w1, w2, w3, h0, h1, h2, h3, depth, colour]) = walker.bytes() else { break };
                facts.size = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
                context.check(facts.size)?;
                if (depth, colour) == (16, 0) {
                    facts.warnings.push(Warning::DeepGray);
                }
            }
            b"acTL" if !seen_data => {
                animation.declared = walker.bytes().map(u32::from_be_bytes).filter(|count| *count > 0);
            }
            b"fcTL" => {
                animation.finish_picture(&mut facts);
                animation.pending = control(walker);
            }
            b"IDAT" | b"fdAT" => {
                seen_data = true;
                animation.pending_has_data = true;
            }
            b"eXIf" => {
                if let Some(data) = walker.vec(length, context.limits.metadata_bytes) {
                    facts.orientation = exif::orientation(&data);
                    has_exif = true;
                }
            }
            kind @ (b"tEXt" | b"zTXt") if !has_exif => {
                let limit = context.limits.metadata_bytes;
                let text = walker.vec(length, limit).and_then(|data| exif_text(&data, kind == b"zTXt", limit));
                if let Some(data) = text.as_deref().and_then(exif::of_raw_profile) {
                    facts.orientation = exif::orientation(&data);
                }
            }
            b"IEND" => {
                ended = true;
                animation.finish_picture(&mut facts);
            }
            _ => {}
        }
        if ended {
            note_second_file(walker, end, &mut facts);
            break;
        }
        if walker.skip_to(end).is_none() {
            break;
        }
    }
    animation.settle(&mut facts, ended);
    Ok(facts)
}

/// The text of a chunk in which programs put EXIF data before there was a chunk for it.
fn exif_text(chunk: &[u8], is_compressed: bool, limit: u64) -> Option<Vec<u8>> {
    let (keyword, rest) = chunk.split_at_checked(chunk.iter().position(|byte| *byte == 0)?)?;
    if !matches!(keyword, b"Raw profile type exif" | b"Raw profile type APP1") {
        return None;
    }
    if !is_compressed {
        return rest.get(1..).map(<[u8]>::to_vec);
    }
    // The byte between says the method of compression, of which there is one.
    let mut text = Vec::new();
    ZlibDecoder::new(rest.get(2..)?).take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The time in a frame control chunk.
fn control<R: Read + Seek>(walker: &mut Walker<R>) -> Option<Duration> {
    walker.skip(20)?;
    let [n0, n1, d0, d1] = walker.bytes()?;
    let (numerator, denominator) = (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([d0, d1]));
    // The standard's meaning of zero.
    let denominator = if denominator == 0 { 100 } else { denominator };
    Some(Duration::from_nanos(u64::from(numerator) * 1_000_000_000 / u64::from(denominator)))
}

/// Another PNG behind the first, as programs that write pictures into a pipe make them.
fn note_second_file<R: Read + Seek>(walker: &mut Walker<R>, end: u64, facts: &mut Facts) {
    if walker.skip_to(end).is_some() && walker.bytes() == Some(SIGNATURE) {
        facts.warnings.push(Warning::MorePictures);
    }
}

impl Animation {
    fn finish_picture(&mut self, facts: &mut Facts) {
        if let Some(delay) = self.pending.take().filter(|_| self.pending_has_data) {
            facts.add_delay(delay);
        }
        self.pending_has_data = false;
    }

    /// Compares what was promised with what is there.
    fn settle(self, facts: &mut Facts, ended: bool) {
        let found = facts.delays.len();
        let Some(declared) = self.declared.and_then(|count| usize::try_from(count).ok()) else {
            facts.delays.clear();
            return;
        };
        facts.delays.truncate(declared);
        if declared > found && found > 0 {
            facts.warnings.push(Warning::Truncated { declared, found });
        } else if !ended && found > 1 {
            facts.warnings.push(Warning::DamagedEnd { found });
        }
    }
}
