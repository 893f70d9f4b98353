//! A look at what a PyTorch file makes its reader build, before it is read.
//!
//! A pickle is a program for a stack machine, and a few kilobytes of it, compressed, ask for any number of objects. The scan
//! runs over the instructions without following them, counts them and the bytes they carry, and refuses what no checkpoint
//! has. What they mean, how deep objects nest and how often they are copied the reader itself checks.

use std::{
    io::{self, BufRead, BufReader, Read, Seek},
    path::Path,
};

use zip::{ZipArchive, result::ZipError};

use crate::{Limits, files};

/// The number that older files begin with, 0x1950a86a20f9469cfc6c: in binary, and in decimal as the first protocols write it.
const LEGACY_BINARY: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_TEXT: &[u8] = b"119547037146038801333356";
/// Pickles of such a file: that number, a version, a description of the machine, the checkpoint, a list of storages.
const LEGACY_PICKLES: usize = 5;
/// Where a TAR archive says that it is one.
const TAR: std::ops::Range<usize> = 257..262;

/// Checks the pickles in the PyTorch file at `path` against `limits`.
///
/// # Errors
/// What is too much, or damaged, and what to do.
pub fn check(path: &Path, limits: &Limits) -> Result<(), String> {
    let damaged = |error: io::Error| format!("{error}; if the file was cut short, download it again");
    let mut start = Vec::new();
    let mut reader = BufReader::new(files::open_regular(path).map_err(damaged)?);
    reader.by_ref().take(TAR.end as u64).read_to_end(&mut start).map_err(damaged)?;
    reader.rewind().map_err(damaged)?;
    let has = |part: &[u8]| start[..start.len().min(64)].windows(part.len()).any(|window| window == part);
    if start.starts_with(b"PK") {
        return check_zip(reader, limits);
    }
    if start.get(TAR) == Some(b"ustar") {
        return Err(
            "it is a TAR archive, as PyTorch before 0.1.10 wrote it; load it with PyTorch, and save it again".into()
        );
    }
    let pickles = if has(LEGACY_BINARY) || has(LEGACY_TEXT) { LEGACY_PICKLES } else { 1 };
    let mut scan = Scan::new(reader, limits);
    (0..pickles).try_for_each(|_| scan.pickle())
}

/// Checks every pickle of an archive that the reader may take for the checkpoint's.
fn check_zip(reader: BufReader<std::fs::File>, limits: &Limits) -> Result<(), String> {
    let damaged = |error: ZipError| format!("{error}; if the file was cut short, download it again");
    let mut archive = ZipArchive::new(reader).map_err(damaged)?;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        if !entry.name().map_err(damaged)?.ends_with("data.pkl") {
            continue;
        }
        if entry.size() > limits.pickle_bytes {
            return Err(too_many("bytes of objects beside the tensors", limits.pickle_bytes));
        }
        drop(entry);
        let entry = archive.by_index(index).map_err(damaged)?;
        Scan::new(BufReader::new(entry), limits).pickle()?;
    }
    Ok(())
}

fn too_many(what: &str, most: u64) -> String {
    format!("it has more than {most} {what}, which no checkpoint has; take the weights from a source you trust")
}

/// What follows an instruction.
enum Argument {
    None,
    Bytes(u64),
    /// Texts that each end with a line.
    Lines(usize),
    /// Bytes after their count, a number of so many bytes.
    Counted(usize),
}

/// The arguments of every instruction of protocols 0 to 5; `None` for a byte that is no instruction.
fn argument(instruction: u8) -> Option<Argument> {
    Some(match instruction {
        b'.' | b'(' | b'0' | b'1' | b'2' | b'N' | b'R' | b'b' | b'd' | b'l' | b'o' | b't' | b's' | b'a' => {
            Argument::None
        }
        b')' | b']' | b'}' | b'e' | b'u' | b'Q' | 0x81 | 0x85..=0x89 | 0x8F..=0x94 | 0x97 | 0x98 => Argument::None,
        b'K' | b'h' | b'q' | 0x80 | 0x82 => Argument::Bytes(1),
        b'M' | 0x83 => Argument::Bytes(2),
        b'J' | b'j' | b'r' | 0x84 => Argument::Bytes(4),
        b'G' | 0x95 => Argument::Bytes(8),
        b'I' | b'L' | b'F' | b'V' | b'g' | b'p' | b'P' | b'S' => Argument::Lines(1),
        b'c' | b'i' => Argument::Lines(2),
        b'U' | b'C' | 0x8A | 0x8C => Argument::Counted(1),
        b'T' | b'X' | b'B' | 0x8B => Argument::Counted(4),
        0x8D | 0x8E | 0x96 => Argument::Counted(8),
        _ => return None,
    })
}

struct Scan<'a, R> {
    reader: R,
    limits: &'a Limits,
    instructions: u64,
    bytes: u64,
}

impl<'a, R: BufRead> Scan<'a, R> {
    fn new(reader: R, limits: &'a Limits) -> Self {
        Self { reader, limits, instructions: 0, bytes: 0 }
    }

    /// Runs over one pickle, to behind its end.
    fn pickle(&mut self) -> Result<(), String> {
        loop {
            let instruction = self.number(1)? as u8;
            self.instructions += 1;
            if self.instructions > self.limits.pickle_objects {
                return Err(too_many("objects beside the tensors", self.limits.pickle_objects));
            }
            let Some(argument) = argument(instruction) else {
                return Err(format!(
                    "0x{instruction:02x} is no pickle instruction; if the file was cut short, download it again"
                ));
            };
            match argument {
                Argument::None => {}
                Argument::Bytes(count) => self.skip(count)?,
                Argument::Lines(count) => (0..count).try_for_each(|_| self.skip_line())?,
                Argument::Counted(width) => {
                    let count = self.number(width)?;
                    self.skip(count)?;
                }
            }
            if instruction == b'.' {
                return Ok(());
            }
        }
    }

    /// A little-endian number of `width` bytes, 8 at most.
    fn number(&mut self, width: usize) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[..width]).map_err(|error| cut(&error))?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn skip(&mut self, count: u64) -> Result<(), String> {
        self.carry(count)?;
        let skipped = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink()).map_err(|error| cut(&error))?;
        if skipped == count { Ok(()) } else { Err(cut(&io::ErrorKind::UnexpectedEof.into())) }
    }

    fn skip_line(&mut self) -> Result<(), String> {
        loop {
            let available = self.reader.fill_buf().map_err(|error| cut(&error))?;
            let end = available.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(available.len(), |end| end + 1);
            if count == 0 {
                return Err(cut(&io::ErrorKind::UnexpectedEof.into()));
            }
            self.reader.consume(count);
            self.carry(count as u64)?;
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn carry(&mut self, count: u64) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.limits.pickle_bytes {
            return Err(too_many("bytes of objects beside the tensors", self.limits.pickle_bytes));
        }
        Ok(())
    }
}

fn cut(error: &io::Error) -> String {
    format!("its pickle ends too early ({error}); if the file was cut short, download it again")
}
