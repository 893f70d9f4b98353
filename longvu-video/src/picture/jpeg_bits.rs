//! Bits and Huffman codes of a JPEG scan.

use super::jpeg_scan::Fault;

/// Bits looked up at once; longer codes are rare.
const LOOKUP_BITS: u32 = 9;

/// A reader of bits that stops at a marker.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, position, buffer: 0, count: 0 }
    }

    /// Fills the buffer as far as there are bytes before the next marker.
    fn refill(&mut self) {
        while self.count <= 56 {
            let byte = match self.data.get(self.position..) {
                Some([0xff, 0, ..]) => {
                    self.position += 1;
                    0xff
                }
                Some([0xff, ..]) | Some([]) | None => return,
                Some([byte, ..]) => *byte,
            };
            self.position += 1;
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn consume(&mut self, count: u32) -> Result<(), Fault> {
        if count > self.count {
            return Err(Fault::Short);
        }
        self.buffer = self.buffer.checked_shl(count).unwrap_or(0);
        self.count -= count;
        Ok(())
    }

    /// The next bits as a number; at most 16.
    pub fn take(&mut self, count: u32) -> Result<u32, Fault> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.refill();
        }
        let value = (self.buffer >> (64 - count)) as u32;
        self.consume(count)?;
        Ok(value)
    }

    /// Passes so many bits.
    pub fn skip(&mut self, mut count: u32) -> Result<(), Fault> {
        while count > 0 {
            let step = count.min(16);
            self.take(step)?;
            count -= step;
        }
        Ok(())
    }

    pub fn symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        if self.count < 16 {
            self.refill();
        }
        let ahead = (self.buffer >> 48) as u32;
        let (length, symbol) = table.find(ahead).ok_or(Fault::Code)?;
        self.consume(length)?;
        Ok(symbol)
    }

    /// Ends a scan or a part of it: what is left must be the rest of a byte, and padding. Returns where the marker is.
    pub fn finish(mut self) -> Result<usize, Fault> {
        let rest = self.count % 8;
        self.consume(rest)?;
        let is_padding = |byte: u8| byte == 0 || byte == 0xff;
        while self.count > 0 {
            let byte = self.take(8)?;
            if !is_padding(byte as u8) {
                return Err(Fault::Extra);
            }
            self.refill();
        }
        Ok(self.position)
    }
}

/// A table of codes.
pub(super) struct Huffman {
    /// For the first [`LOOKUP_BITS`] bits, length and symbol of the code they begin with; length 0 if it is longer.
    lookup: Vec<(u8, u8)>,
    /// By length from 1: the first code, how many there are, and the place of their first symbol.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Huffman {
    /// From the number of codes of each length and their symbols; `None` if there are more codes than fit.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table =
            Self { lookup: vec![(0, 0); 1 << LOOKUP_BITS], lengths: [(0, 0, 0); 16], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for ((length, count), entry) in (1_u32..).zip(counts).zip(&mut table.lengths) {
            let count = u32::from(*count);
            *entry = (code, count, place);
            if code + count > 1 << length {
                return None;
            }
            for one in code..code + count {
                let symbol = *symbols.get(place)?;
                place += 1;
                if length <= LOOKUP_BITS {
                    let first = (one << (LOOKUP_BITS - length)) as usize;
                    let slots = table.lookup.get_mut(first..first + (1 << (LOOKUP_BITS - length)))?;
                    slots.fill((length as u8, symbol));
                }
            }
            code = (code + count) << 1;
        }
        Some(table)
    }

    /// Length and symbol of the code that 16 bits begin with.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let (length, symbol) = *self.lookup.get((bits >> (16 - LOOKUP_BITS)) as usize)?;
        if length > 0 {
            return Some((length.into(), symbol));
        }
        for (length, (first, count, place)) in (1_u32..).zip(&self.lengths).skip(LOOKUP_BITS as usize) {
            let offset = (bits >> (16 - length)).wrapping_sub(*first);
            if offset < *count {
                return self.symbols.get(place + offset as usize).map(|symbol| (length, *symbol));
            }
        }
        None
    }
}
