//! Whether the picture data of a JPEG are whole.
//!
//! The decoder paints what it has and says nothing when data end early or make no sense. Here every code is read, without
//! the arithmetic: data that were cut or changed end in an impossible code, run out, or leave something over.

use super::jpeg::{EOI, SOI, SOS};
use super::jpeg_bits::{Bits, Huffman};

/// The decoder takes no more scans either. A scan of a few bytes can be a whole pass over the picture.
const MAX_SCANS: usize = 100;

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
}

impl Fault {
    /// The fault in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Short => "its data end before the picture is complete",
            Self::Code => "its data have codes that make no sense",
            Self::Extra => "its data go on after the picture is complete",
            Self::Restart => "a restart marker is missing or out of order",
            Self::Segment => "a segment is malformed",
        }
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
struct Scan {
    /// Indices of components, with their tables for DC and AC.
    components: Vec<(usize, usize, usize)>,
    band: (u32, u32),
    progressive: bool,
    refines: bool,
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
        let parts = body.get(6..).unwrap_or_default().chunks_exact(3);
        let parts: Vec<(u8, usize, usize)> = parts
            .filter_map(|part| match part {
                [id, sampling, _] => Some((*id, usize::from(sampling >> 4), usize::from(sampling & 15))),
                _ => None,
            })
            .collect();
        let sides = |f: fn(&(u8, usize, usize)) -> usize| parts.iter().map(f).max().unwrap_or(0);
        let (across, down) = (sides(|part| part.1), sides(|part| part.2));
        if !self.components.is_empty() || parts.iter().any(|(_, h, v)| *h == 0 || *v == 0 || *h > 4 || *v > 4) {
            return Err(Fault::Segment);
        }
        if width == 0 || height == 0 || across == 0 {
            return Err(Fault::Segment);
        }
        self.progressive = marker == 0xc2;
        self.mcus = (width.div_ceil(8 * across), height.div_ceil(8 * down));
        for (id, h, v) in parts {
            let blocks = ((width * h).div_ceil(8 * across), (height * v).div_ceil(8 * down));
            let stride = self.mcus.0 * h;
            let history = if self.progressive { vec![0; stride * self.mcus.1 * v] } else { Vec::new() };
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
        let components = components.filter(|components| !components.is_empty()).ok_or(Fault::Segment)?;
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

fn table(tables: &[Option<Huffman>; 4], index: usize) -> Option<&Huffman> {
    tables.get(index).and_then(Option::as_ref)
}

/// Reads the codes of one block.
fn read_block(
    bits: &mut Bits<'_>,
    (dc, ac): (Option<&Huffman>, Option<&Huffman>),
    scan: &Scan,
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    let (mut first, last) = scan.band;
    if first == 0 {
        if scan.refines {
            bits.take(1)?;
        } else {
            let size = bits.symbol(dc.ok_or(Fault::Segment)?)?;
            bits.take(Some(u32::from(size)).filter(|size| *size <= 11).ok_or(Fault::Code)?)?;
        }
        first = 1;
    }
    if last == 0 {
        return Ok(());
    }
    let ac = ac.ok_or(Fault::Segment)?;
    if scan.refines {
        refine(bits, ac, (first, last), history, end_of_band_run)
    } else {
        coefficients(bits, ac, (first, last), scan.progressive, history, end_of_band_run)
    }
}

/// The coefficients of a band, for the first time.
fn coefficients(
    bits: &mut Bits<'_>,
    ac: &Huffman,
    (mut place, last): (u32, u32),
    progressive: bool,
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    if *end_of_band_run > 0 {
        *end_of_band_run -= 1;
        return Ok(());
    }
    while place <= last {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run < 15 {
            if run > 0 && !progressive {
                return Err(Fault::Code);
            }
            *end_of_band_run = (1 << run) + bits.take(run)? - 1;
            return Ok(());
        }
        place += run;
        if place > last {
            return Err(Fault::Code);
        }
        if size > 0 {
            bits.take(size)?;
            *history |= 1 << place;
        }
        place += 1;
    }
    Ok(())
}

/// One more bit of a band's coefficients, and those that were zero without it.
fn refine(
    bits: &mut Bits<'_>,
    ac: &Huffman,
    (mut place, last): (u32, u32),
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    while *end_of_band_run == 0 && place <= last {
        let symbol = bits.symbol(ac)?;
        let (mut run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match size {
            0 if run < 15 => {
                *end_of_band_run = (1 << run) + bits.take(run)?;
                break;
            }
            0 => {}
            1 => {
                bits.take(1)?;
            }
            _ => return Err(Fault::Code),
        }
        // Coefficients that are known have a bit each; zeros are counted off.
        loop {
            if place > last {
                if size == 1 {
                    return Err(Fault::Code);
                }
                break;
            }
            if *history >> place & 1 == 1 {
                bits.take(1)?;
            } else if run == 0 {
                if size == 1 {
                    *history |= 1 << place;
                }
                place += 1;
                break;
            } else {
                run -= 1;
            }
            place += 1;
        }
    }
    if *end_of_band_run > 0 {
        *end_of_band_run -= 1;
        while place <= last {
            if *history >> place & 1 == 1 {
                bits.take(1)?;
            }
            place += 1;
        }
    }
    Ok(())
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
