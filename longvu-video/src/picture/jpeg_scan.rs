//! Whether the picture data of a JPEG are whole.
//!
//! The decoder paints what it has and says nothing when data end early or make no sense. Here every code is read, without
//! the arithmetic: data that were cut or changed end in an impossible code, run out, or leave something over.

use super::jpeg::{EOI, SOI, SOS};
use super::jpeg_bits::{Bits, Huffman};
use super::jpeg_block::read_block;
use crate::Warning;
use crate::limits::{MAX_JPEG_BLOCKS, MAX_SCANS};

/// What is wrong with a JPEG's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end, or a marker comes, before the picture is complete.
    Short,
    /// Bits that are no code, or codes that lead outside a block.
    Code,
    /// Data are left over when the picture is complete.
    Extra,
    /// A restart marker is missing or out of order.
    Restart,
    /// A segment is malformed.
    Segment,
    /// None that is known: there is no memory to look for them.
    Memory,
    /// None that is known: looking for them would take too long.
    Time,
}

impl Fault {
    /// What the picture's user is to be told.
    pub fn warning(self) -> Warning {
        let reason = match self {
            Self::Short => "its data end before the picture is complete",
            Self::Code => "its data have codes that make no sense",
            Self::Extra => "its data go on after the picture is complete",
            Self::Restart => "a restart marker is missing or out of order",
            Self::Segment => "a segment is malformed",
            Self::Time => {
                return Warning::Unchecked { reason: "its scans pass over too many blocks in all".into() };
            }
            Self::Memory => return Warning::Unchecked { reason: "there is no memory for it".into() },
        };
        Warning::DamagedPicture { reason: reason.into() }
    }
}

/// Looks for faults in the data of a baseline or progressive JPEG.
pub(super) fn find_fault(data: &[u8]) -> Option<Fault> {
    Checker::default().run(data).err()
}

#[derive(Default)]
struct Checker {
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart_interval: usize,
    progressive: bool,
    components: Vec<Component>,
    /// MCUs across and down.
    mcus: (usize, usize),
    /// Blocks that the scans so far passed over.
    passed: usize,
}

#[derive(Default)]
struct Component {
    id: u8,
    sampling: (usize, usize),
    /// Blocks across and down that hold pixels; without those that only fill an MCU.
    blocks: (usize, usize),
    /// Blocks across, with those.
    stride: usize,
    /// For progressive pictures, which of a block's coefficients are not zero.
    history: Vec<u64>,
    has_data: bool,
}

/// The parameters of a scan.
pub(super) struct Scan {
    /// Indices of components, with their tables for DC and AC.
    components: Vec<(usize, usize, usize)>,
    pub band: (u32, u32),
    pub progressive: bool,
    pub refines: bool,
}

impl Checker {
    fn run(&mut self, data: &[u8]) -> Result<(), Fault> {
        let (mut position, mut scans) = (0, 0);
        loop {
            let Some(marker) = next_marker(data, &mut position) else {
                // Some cameras leave the last marker out, which only a progressive picture needs.
                return if self.progressive { Err(Fault::Short) } else { self.complete() };
            };
            match marker {
                EOI => return self.complete(),
                SOI | 0x01 | 0xd0..=0xd7 => continue,
                _ => {}
            }
            let body = segment(data, &mut position).ok_or(Fault::Short)?;
            match marker {
                0xc0..=0xc2 => self.frame(marker, body)?,
                0xc4 => self.tables(body)?,
                0xdb => quantization(body)?,
                0xdd => self.restart_interval = word(body, 0).ok_or(Fault::Segment)?,
                SOS => {
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(Fault::Segment);
                    }
                    let scan = self.scan_header(body)?;
                    if !self.has_tables(&scan) {
                        // Pictures of a stream may rely on the standard's example tables.
                        return Ok(());
                    }
                    position = self.scan(data, position, &scan)?;
                }
                _ => {}
            }
        }
    }

    fn complete(&self) -> Result<(), Fault> {
        let whole = !self.components.is_empty() && self.components.iter().all(|component| component.has_data);
        if whole { Ok(()) } else { Err(Fault::Short) }
    }

    fn frame(&mut self, marker: u8, body: &[u8]) -> Result<(), Fault> {
        let (height, width) = (word(body, 1).ok_or(Fault::Segment)?, word(body, 3).ok_or(Fault::Segment)?);
        let (count, parts) = body.get(5..).and_then(<[u8]>::split_first).ok_or(Fault::Segment)?;
        // As many as the decoder takes; each has memory of its own here.
        if !self.components.is_empty() || !(1..=4).contains(count) || parts.len() != usize::from(*count) * 3 {
            return Err(Fault::Segment);
        }
        let (parts, _) = parts.as_chunks::<3>();
        let sides = |[_, sampling, _]: &[u8; 3]| (usize::from(sampling >> 4), usize::from(sampling & 15));
        let (across, down) = parts.iter().map(sides).fold((0, 0), |most, (h, v)| (most.0.max(h), most.1.max(v)));
        if parts.iter().map(sides).any(|(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v)) {
            return Err(Fault::Segment);
        }
        if width == 0 || height == 0 {
            return Err(Fault::Segment);
        }
        self.progressive = marker == 0xc2;
        self.mcus = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        for part in parts {
            let ([id, ..], (h, v)) = (*part, sides(part));
            let blocks = ((width * h).div_ceil(8 * across), (height * v).div_ceil(8 * down));
            let stride = self.mcus.0 * h;
            let history = if self.progressive { zeros(stride, self.mcus.1 * v)? } else { Vec::new() };
            self.components.push(Component { id, sampling: (h, v), blocks, stride, history, has_data: false });
        }
        Ok(())
    }

    fn tables(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((head, rest)) = body.split_first_chunk::<17>() {
            let [class, counts @ ..] = head;
            let symbols = counts.iter().map(|count| usize::from(*count)).sum::<usize>();
            let table = rest.get(..symbols).and_then(|symbols| Huffman::new(counts, symbols)).ok_or(Fault::Segment)?;
            let set = if class >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *set.get_mut(usize::from(class & 15)).ok_or(Fault::Segment)? = Some(table);
            body = rest.get(symbols..).unwrap_or_default();
        }
        Ok(())
    }

    fn scan_header(&self, body: &[u8]) -> Result<Scan, Fault> {
        let (count, rest) = body.split_first().ok_or(Fault::Segment)?;
        let (parts, rest) = rest.split_at_checked(usize::from(*count) * 2).ok_or(Fault::Segment)?;
        let find = |part: &[u8]| match part {
            [id, tables] => {
                let index = self.components.iter().position(|component| component.id == *id)?;
                Some((index, usize::from(tables >> 4), usize::from(tables & 15)))
            }
            _ => None,
        };
        let components: Option<Vec<_>> = parts.chunks_exact(2).map(find).collect();
        let [first, last, bits, ..] = rest else { return Err(Fault::Segment) };
        let (first, last) = if self.progressive { (*first, *last) } else { (0, 63) };
        let components = components.ok_or(Fault::Segment)?;
        let is_twice =
            |(n, one): (usize, &(usize, usize, usize))| components.iter().take(n).any(|other| other.0 == one.0);
        if components.is_empty() || components.iter().enumerate().any(is_twice) {
            return Err(Fault::Segment);
        }
        if first > last || last > 63 || (first > 0 && components.len() > 1) {
            return Err(Fault::Segment);
        }
        let progressive = self.progressive;
        let refines = progressive && bits >> 4 > 0;
        Ok(Scan { components, band: (first.into(), last.into()), progressive, refines })
    }

    fn has_tables(&self, scan: &Scan) -> bool {
        let has = |tables: &[Option<Huffman>; 4], index: usize| tables.get(index).is_some_and(Option::is_some);
        let (needs_dc, needs_ac) = (scan.band.0 == 0 && !scan.refines, scan.band.1 > 0);
        scan.components.iter().all(|(_, dc, ac)| (!needs_dc || has(&self.dc, *dc)) && (!needs_ac || has(&self.ac, *ac)))
    }

    /// Reads a scan's data from `position`; returns where they end.
    fn scan(&mut self, data: &[u8], mut position: usize, scan: &Scan) -> Result<usize, Fault> {
        let single = match scan.components.as_slice() {
            [(index, ..)] => self.components.get(*index).map(|component| component.blocks),
            _ => None,
        };
        let (across, down) = single.unwrap_or(self.mcus);
        self.passed = self.passed.saturating_add(across.saturating_mul(down).saturating_mul(scan.components.len()));
        if self.passed > MAX_JPEG_BLOCKS {
            return Err(Fault::Time);
        }
        let mut bits = Bits::new(data, position);
        let mut end_of_band_run = 0;
        let mut restarts = 0_u8;
        for unit in 0..across * down {
            if self.restart_interval > 0 && unit > 0 && unit % self.restart_interval == 0 {
                position = bits.finish()?;
                match next_marker(data, &mut position) {
                    Some(marker) if marker == 0xd0 + restarts => {}
                    None | Some(EOI) => return Err(Fault::Short),
                    Some(_) => return Err(Fault::Restart),
                }
                restarts = (restarts + 1) % 8;
                bits = Bits::new(data, position);
                end_of_band_run = 0;
            }
            let place = (unit % across, unit / across);
            for (index, dc, ac) in &scan.components {
                let Self { dc: dc_tables, ac: ac_tables, components, .. } = &mut *self;
                let component = components.get_mut(*index).ok_or(Fault::Segment)?;
                component.has_data = true;
                let tables = (table(dc_tables, *dc), table(ac_tables, *ac));
                let (h, v) = if single.is_some() { (1, 1) } else { component.sampling };
                for block in 0..h * v {
                    let block = (place.1 * v + block / h) * component.stride + place.0 * h + block % h;
                    let mut unused = 0;
                    let history = component.history.get_mut(block).unwrap_or(&mut unused);
                    read_block(&mut bits, tables, scan, history, &mut end_of_band_run)?;
                }
            }
        }
        bits.finish()
    }
}

/// Memory of one number a block.
fn zeros(across: usize, down: usize) -> Result<Vec<u64>, Fault> {
    let count = across.checked_mul(down).ok_or(Fault::Memory)?;
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(count).map_err(|_| Fault::Memory)?;
    numbers.resize(count, 0);
    Ok(numbers)
}

fn table(tables: &[Option<Huffman>; 4], index: usize) -> Option<&Huffman> {
    tables.get(index).and_then(Option::as_ref)
}

/// Tables of quantization, in which nothing is zero.
fn quantization(mut body: &[u8]) -> Result<(), Fault> {
    while let Some((head, rest)) = body.split_first() {
        let bytes = if head >> 4 == 0 { 64 } else { 128 };
        let (table, rest) = rest.split_at_checked(bytes).ok_or(Fault::Segment)?;
        if table.chunks(bytes / 64).any(|value| value.iter().all(|byte| *byte == 0)) {
            return Err(Fault::Segment);
        }
        body = rest;
    }
    Ok(())
}

/// The marker at or after `position`, past fill bytes and anything else that is none; `position` goes behind it.
fn next_marker(data: &[u8], position: &mut usize) -> Option<u8> {
    let rest = data.get(*position..)?;
    let found = rest.windows(2).position(|pair| matches!(pair, [0xff, 0x01..=0xfe]))?;
    *position += found + 2;
    rest.get(found + 1).copied()
}

/// The bytes of a segment; `position` goes behind it.
fn segment<'a>(data: &'a [u8], position: &mut usize) -> Option<&'a [u8]> {
    let length = word(data, *position)?;
    let body = data.get(*position + 2..position.checked_add(length)?)?;
    *position += length;
    Some(body)
}

fn word(data: &[u8], place: usize) -> Option<usize> {
    let bytes = data.get(place..place.checked_add(2)?)?;
    Some(usize::from(u16::from_be_bytes(bytes.try_into().ok()?)))
}
