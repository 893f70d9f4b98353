//! Steps through a file's blocks without reading what is not asked for.

use std::io::{BufRead, BufReader, Read, Seek};

/// A buffered file that knows its length: a step past the end is a `None`, before anything is allocated for it.
///
/// An error of the file system looks like the end here; the decoder meets it again and reports it.
pub(super) struct Walker<R> {
    reader: BufReader<R>,
    position: u64,
    length: u64,
}

impl<R: Read + Seek> Walker<R> {
    pub fn new(reader: R, length: u64) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, reader), position: 0, length }
    }

    /// The first bytes, at most so many, which stay to be read.
    pub fn peek(&mut self, count: usize) -> &[u8] {
        let buffer = self.reader.fill_buf().unwrap_or_default();
        buffer.get(..count).unwrap_or(buffer)
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).ok()?;
        self.position += N as u64;
        Some(bytes)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    /// The next `count` bytes, if the file has them and they are no more than `limit`.
    pub fn vec(&mut self, count: u64, limit: u64) -> Option<Vec<u8>> {
        if count > limit || count > self.length.saturating_sub(self.position) {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(count).ok()?];
        self.reader.read_exact(&mut bytes).ok()?;
        self.position += count;
        Some(bytes)
    }

    /// Goes on after the next `count` bytes.
    pub fn skip(&mut self, count: u64) -> Option<()> {
        if count > self.length.saturating_sub(self.position) {
            return None;
        }
        self.reader.seek_relative(i64::try_from(count).ok()?).ok()?;
        self.position += count;
        Some(())
    }

    /// Goes on to `position`, which does not lie before the present one.
    pub fn skip_to(&mut self, position: u64) -> Option<()> {
        self.skip(position.checked_sub(self.position)?)
    }

    /// Goes on after the next byte of this value; false at the end of the file.
    pub fn skip_past(&mut self, wanted: u8) -> bool {
        loop {
            let Ok(buffer) = self.reader.fill_buf() else { return false };
            if buffer.is_empty() {
                return false;
            }
            let found = buffer.iter().position(|byte| *byte == wanted);
            let used = found.map_or(buffer.len(), |place| place + 1);
            self.reader.consume(used);
            self.position += used as u64;
            if found.is_some() {
                return true;
            }
        }
    }
}
