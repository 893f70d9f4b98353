//! The box structure of MP4, QuickTime, HEIF and AVIF files (ISO/IEC 14496-12), as far as headers go.

use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use crate::limits::{MAX_BOX_BYTES, MAX_BOXES};

/// One box: its type and where its contents lie in the file.
#[derive(Debug, Clone)]
pub(crate) struct Boxed {
    pub kind: [u8; 4],
    pub body: Range<u64>,
}

/// Boxes one after the other in a part of a file; ends at the first that does not fit.
pub(crate) struct Boxes<'a, R> {
    reader: &'a mut R,
    rest: Range<u64>,
    left: usize,
}

impl<'a, R: Read + Seek> Boxes<'a, R> {
    pub fn new(reader: &'a mut R, part: Range<u64>) -> Self {
        Self { reader, rest: part, left: MAX_BOXES }
    }

    fn read_header(&mut self) -> Option<Boxed> {
        let start = self.rest.start;
        self.reader.seek(SeekFrom::Start(start)).ok()?;
        let mut head = [0; 8];
        self.reader.read_exact(&mut head).ok()?;
        let [s0, s1, s2, s3, kind @ ..] = head;
        let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, self.rest.end.saturating_sub(start)),
            1 => {
                let mut long = [0; 8];
                self.reader.read_exact(&mut long).ok()?;
                (16, u64::from_be_bytes(long))
            }
            size => (8, u64::from(size)),
        };
        let end = start.checked_add(size)?;
        (size >= header).then(|| Boxed { kind, body: start + header..end })
    }
}

impl<R: Read + Seek> Iterator for Boxes<'_, R> {
    type Item = Boxed;

    fn next(&mut self) -> Option<Boxed> {
        if self.left == 0 || self.rest.start >= self.rest.end {
            return None;
        }
        self.left -= 1;
        let Some(found) = self.read_header() else {
            self.left = 0;
            return None;
        };
        self.rest.start = found.body.end;
        Some(found)
    }
}

/// The boxes directly in a part of the file.
pub(crate) fn children<R: Read + Seek>(reader: &mut R, part: Range<u64>) -> Vec<Boxed> {
    Boxes::new(reader, part).collect()
}

/// The first box of a type directly in a part of the file.
pub(crate) fn child<R: Read + Seek>(reader: &mut R, part: Range<u64>, kind: &[u8; 4]) -> Option<Range<u64>> {
    Boxes::new(reader, part).find(|found| found.kind == *kind).map(|found| found.body)
}

/// The box at the end of a path of types.
pub(crate) fn descend<R: Read + Seek>(reader: &mut R, part: Range<u64>, path: &[&[u8; 4]]) -> Option<Range<u64>> {
    path.iter().try_fold(part, |part, kind| child(reader, part, kind))
}

/// The bytes of a part of the file, at most [`MAX_BOX_BYTES`] of them and what the file holds.
pub(crate) fn bytes<R: Read + Seek>(reader: &mut R, part: Range<u64>) -> Vec<u8> {
    let size = part.end.saturating_sub(part.start).min(MAX_BOX_BYTES);
    let mut bytes = Vec::new();
    if reader.seek(SeekFrom::Start(part.start)).is_ok() {
        // What could be read before an error is used like a file that ends there.
        let _ = reader.by_ref().take(size).read_to_end(&mut bytes);
    }
    bytes
}

/// A big-endian number of `size` bytes at `at`.
pub(crate) fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let digits = bytes.get(at..at.checked_add(size)?)?;
    Some(digits.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn sizes_of_all_kinds_and_none_past_the_end() {
        let file = [
            &[0, 0, 0, 10][..],
            b"abcd\x01\x02",
            &[0, 0, 0, 1],
            b"long",
            &18_u64.to_be_bytes(),
            &[7, 8],
            &[0, 0, 0, 0],
            b"tail...",
        ]
        .concat();
        let end = file.len() as u64;
        let mut reader = Cursor::new(&file);
        let found: Vec<_> = children(&mut reader, 0..end).into_iter().map(|b| (b.kind, b.body)).collect();
        assert_eq!(found, [(*b"abcd", 8..10), (*b"long", 26..28), (*b"tail", 36..end)]);
        assert_eq!(bytes(&mut reader, 26..28), [7, 8]);
        for broken in [&[0, 0, 0, 7, 1, 1, 1, 1, 1][..], &[0, 0, 0, 1, 1, 1, 1, 1], &[0, 0], &[0xff; 24]] {
            let found = children(&mut Cursor::new(broken), 0..broken.len() as u64);
            assert!(found.len() <= 1, "{found:?}");
        }
    }
}
