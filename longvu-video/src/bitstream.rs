//! What the first bytes of a packet say of its picture: whether decoding can start there, and whether others depend on it.
//!
//! Only what the codec's standard guarantees counts. A codec that is not listed, or a picture in doubt, says nothing, and
//! its packets are all decoded.

use std::hash::{DefaultHasher, Hash, Hasher};

use ffmpeg::codec::Id;
use ffmpeg_next as ffmpeg;

/// Whether a decoder can go on at a packet after packets were left out before it.
///
/// It can if no picture that is both decoded and shown later uses an earlier one. Pictures that are decoded later but shown
/// earlier may: see [`feed`](crate::feed).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// Not that we know.
    #[default]
    No,
    /// It can: this picture makes it forget the earlier ones.
    Clean,
    /// It can, once flushed: only at the start of a stream does this picture count as one that needs no other.
    AfterFlush,
}

/// What is known of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub start: Start,
    /// No picture of the same or a lower layer uses this one.
    pub disposable: bool,
    /// The temporal layer.
    pub layer: u8,
    /// A hash of the parameter sets in it, which hold for later packets too.
    pub parameters: Option<u64>,
}

/// How to read the packets of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    H264,
    Hevc,
    Mpeg2,
    Vp9,
    Av1,
    Jpeg,
    /// Every picture stands alone.
    Intra,
}

/// A reader of packets for one stream.
#[derive(Debug, Clone)]
pub(crate) struct Inspector {
    syntax: Syntax,
    /// Bytes of the length before each unit; `None` for start codes.
    length_size: Option<usize>,
}

impl Inspector {
    /// A reader for a codec, with the stream's global headers; `None` if nothing is known of the codec's packets.
    ///
    /// `interlaced` pictures of H.264 and HEVC may come as two packets, or one whose halves differ: nothing is known of them.
    pub fn new(codec: Id, headers: &[u8], interlaced: bool) -> Option<Self> {
        let syntax = match codec {
            Id::H264 if !interlaced => Syntax::H264,
            Id::HEVC if !interlaced => Syntax::Hevc,
            Id::MPEG1VIDEO | Id::MPEG2VIDEO => Syntax::Mpeg2,
            Id::VP9 => Syntax::Vp9,
            Id::AV1 => Syntax::Av1,
            Id::MJPEG => Syntax::Jpeg,
            Id::PRORES | Id::DNXHD | Id::RAWVIDEO => Syntax::Intra,
            _ => return None,
        };
        // `avcC` and `hvcC` boxes begin with their version, 1; start codes begin with 0.
        let length_size = match (syntax, headers.first()) {
            (Syntax::H264, Some(1)) => headers.get(4),
            (Syntax::Hevc, Some(1)) => headers.get(21),
            _ => None,
        };
        Some(Self { syntax, length_size: length_size.map(|byte| usize::from(byte & 3) + 1) })
    }

    /// What is known of a packet.
    pub fn look(&self, packet: &[u8]) -> Facts {
        match self.syntax {
            Syntax::H264 => h264(units(packet, self.length_size)),
            Syntax::Hevc => hevc(units(packet, self.length_size)),
            Syntax::Mpeg2 => mpeg2(packet),
            Syntax::Vp9 => Facts { start: start_if(vp9_is_key(packet) == Some(true)), ..Facts::default() },
            Syntax::Av1 => av1(packet).unwrap_or_default(),
            Syntax::Jpeg => Facts { start: start_if(jpeg_has_its_tables(packet) == Some(true)), ..Facts::default() },
            Syntax::Intra => Facts { start: Start::Clean, ..Facts::default() },
        }
    }
}

fn start_if(clean: bool) -> Start {
    if clean { Start::Clean } else { Start::No }
}

/// A hash of parameter sets, one after the other.
#[derive(Default)]
struct Parameters(Option<DefaultHasher>);

impl Parameters {
    fn add(&mut self, bytes: &[u8]) {
        bytes.hash(self.0.get_or_insert_default());
    }

    fn finish(self) -> Option<u64> {
        self.0.map(|hasher| hasher.finish())
    }
}

/// The units of an H.264 or HEVC packet, or what is there of them.
fn units(packet: &[u8], length_size: Option<usize>) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    let mut rest = packet;
    match length_size {
        Some(size) => Box::new(std::iter::from_fn(move || {
            let (length, body) = rest.split_at_checked(size)?;
            let length = length.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
            let (unit, after) = body.split_at_checked(length)?;
            rest = after;
            Some(unit)
        })),
        None => Box::new(start_codes(packet)),
    }
}

/// The parts of a packet that follow the start codes 00 00 01, each to the next such code.
fn start_codes(packet: &[u8]) -> impl Iterator<Item = &[u8]> {
    let find = |bytes: &[u8]| bytes.windows(3).position(|code| code == [0, 0, 1]);
    let mut rest = find(packet).and_then(|at| packet.get(at + 3..));
    std::iter::from_fn(move || {
        let unit = rest?;
        let Some(end) = find(unit) else {
            rest = None;
            return Some(unit);
        };
        rest = unit.get(end + 3..);
        unit.get(..end)
    })
}

/// Units up to the first slice: all slices of a picture agree in what is read here.
fn h264<'a>(units: impl Iterator<Item = &'a [u8]>) -> Facts {
    let mut parameters = Parameters::default();
    for unit in units {
        let Some(head) = unit.first() else { continue };
        match head & 0x1f {
            // An IDR picture empties the decoder's store, and everything before it is shown before it.
            kind @ (1 | 5) => {
                let disposable = head & 0x60 == 0;
                return Facts { start: start_if(kind == 5), disposable, layer: 0, parameters: parameters.finish() };
            }
            7 | 8 | 13 => parameters.add(unit),
            _ => {}
        }
    }
    Facts { parameters: parameters.finish(), ..Facts::default() }
}

fn hevc<'a>(units: impl Iterator<Item = &'a [u8]>) -> Facts {
    let mut parameters = Parameters::default();
    for unit in units {
        let &[first, second, ..] = unit else { continue };
        // Other spatial layers or views, which are not decoded.
        if (first & 1, second >> 3) != (0, 0) {
            continue;
        }
        match (first >> 1) & 0x3f {
            kind @ 0..=31 => {
                let start = match kind {
                    19 | 20 => Start::Clean,
                    // BLA and CRA: pictures shown before them may use earlier ones; those shown later do not.
                    16..=18 | 21 => Start::AfterFlush,
                    _ => Start::No,
                };
                // "Sub-layer non-reference" pictures have the even numbers up to 14.
                let (disposable, layer) = (kind <= 14 && kind % 2 == 0, (second & 7).saturating_sub(1));
                return Facts { start, disposable, layer, parameters: parameters.finish() };
            }
            32..=34 => parameters.add(unit),
            _ => {}
        }
    }
    Facts { parameters: parameters.finish(), ..Facts::default() }
}

/// Headers up to the picture's. A sequence header before an I picture resets all there is to reset.
fn mpeg2(packet: &[u8]) -> Facts {
    let mut parameters = Parameters::default();
    for unit in start_codes(packet) {
        match unit {
            [0xb3 | 0xb5, ..] => parameters.add(unit),
            [0x00, _, second, ..] => {
                let parameters = parameters.finish();
                let (is_intra, disposable) = ((second >> 3) & 7 == 1, (second >> 3) & 7 == 3);
                return Facts { start: start_if(is_intra && parameters.is_some()), disposable, layer: 0, parameters };
            }
            _ => {}
        }
    }
    Facts { parameters: parameters.finish(), ..Facts::default() }
}

/// A key frame refreshes every reference and every context.
fn vp9_is_key(packet: &[u8]) -> Option<bool> {
    let first = packet.first()?;
    // Marker (2 bits), profile (2), a reserved bit for profile 3 alone, "show existing frame", "not a key frame".
    let is_frame = first >> 6 == 2;
    let (flags, is_profile_3) = (first << 4, first & 0x30 == 0x30);
    let flags = if is_profile_3 { flags << 1 } else { flags };
    Some(is_frame && flags & 0xc0 == 0)
}

/// Units up to the first frame header. A key frame refreshes every reference if it is shown at once.
fn av1(packet: &[u8]) -> Option<Facts> {
    let (mut rest, mut parameters) = (packet, Parameters::default());
    while let Some((head, after)) = rest.split_first() {
        let (has_extension, has_size) = (head & 4 != 0, head & 2 != 0);
        let after = if has_extension { after.get(1..)? } else { after };
        let (size, body) = if has_size { leb128(after)? } else { (after.len(), after) };
        let (unit, next) = body.split_at_checked(size)?;
        match (head >> 3) & 15 {
            1 => parameters.add(unit),
            3 | 6 => {
                // "Show existing frame" 0, frame type 0 (2 bits), "show frame" 1.
                let is_key = unit.first()? >> 4 == 1;
                return Some(Facts { start: start_if(is_key), parameters: parameters.finish(), ..Facts::default() });
            }
            _ => {}
        }
        rest = next;
    }
    Some(Facts { parameters: parameters.finish(), ..Facts::default() })
}

/// A number in 7-bit groups, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let length = bytes.iter().take(8).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at_checked(length)?;
    let value = number.iter().rev().fold(0_u64, |sum, byte| (sum << 7) | u64::from(byte & 0x7f));
    Some((usize::try_from(value).ok()?, rest))
}

/// Whether a JPEG picture defines every table it uses; tables left out are those of an earlier picture. Pictures of more
/// than one scan are left alone.
fn jpeg_has_its_tables(packet: &[u8]) -> Option<bool> {
    let mut rest = packet.strip_prefix(&[0xff, 0xd8])?;
    // Sets of tables, as bits.
    let (mut quantisers, mut codes, mut used_quantisers, mut parts) = (0_u32, 0_u32, 0_u32, 0);
    loop {
        let (marker, after) = rest.split_first_chunk::<2>()?;
        let size = usize::from(u16::from_be_bytes(*after.first_chunk()?));
        let (segment, next) = (after.get(2..size)?, after.get(size..)?);
        match marker {
            [0xff, 0xdb] => quantisers |= tables(segment, quantiser)?,
            [0xff, 0xc4] => codes |= tables(segment, huffman_code)?,
            [0xff, 0xc0 | 0xc1] => {
                let components = segment.get(6..)?.chunks_exact(3);
                parts = components.len();
                used_quantisers = components.fold(0, |set, part| set | 1 << (part[2] & 15));
            }
            [0xff, 0xda] => {
                let components = segment.get(1..)?.chunks_exact(2).take(usize::from(*segment.first()?));
                let is_whole = parts > 0 && components.len() == parts;
                let used_codes =
                    components.fold(0, |set, part| set | code_bit(part[1] >> 4) | code_bit(part[1] | 0x10));
                return Some(is_whole && used_quantisers & !quantisers == 0 && used_codes & !codes == 0);
            }
            [0xff, _] => {}
            _ => return None,
        }
        rest = next;
    }
}

/// The set of tables in a segment; `read` gives the bit and the length of the first table of its argument.
fn tables(mut segment: &[u8], read: impl Fn(&[u8]) -> Option<(u32, usize)>) -> Option<u32> {
    let mut set = 0;
    while !segment.is_empty() {
        let (bit, length) = read(segment)?;
        set |= bit;
        segment = segment.get(length..)?;
    }
    Some(set)
}

fn quantiser(table: &[u8]) -> Option<(u32, usize)> {
    let head = table.first()?;
    Some((1 << (head & 15), if head >> 4 == 0 { 65 } else { 129 }))
}

fn huffman_code(table: &[u8]) -> Option<(u32, usize)> {
    let (head, counts) = (table.first()?, table.get(1..17)?);
    Some((code_bit(*head), 17 + counts.iter().map(|count| usize::from(*count)).sum::<usize>()))
}

/// A Huffman table's bit: class (0 or 1) in the high half of the byte, number in the low half.
fn code_bit(head: u8) -> u32 {
    1 << (head & 0x1f)
}

#[cfg(test)]
#[path = "bitstream_tests.rs"]
mod tests;
