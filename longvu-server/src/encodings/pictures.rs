//! Pictures of an encoding's frames: in memory, or in a file of which one picture at a time is read.
//!
//! The file, numbers with the lowest byte first: `LONGVU-PICTURES1`, the 32 bytes of the encoding's key, the number of
//! pictures (u64), and for each of them its place from the file's beginning, its length (u64 both), and the first 8 bytes of
//! its SHA-256; then the pictures, JPEG each.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use longvu::checkpoint::{atomic::FileDraft, files::open_regular};
use sha2::{Digest, Sha256};

use crate::encodings::key::{BYTES as KEY_BYTES, Key};

const MAGIC: &[u8; 16] = b"LONGVU-PICTURES1";

/// Bytes before the first picture's place.
const HEAD: usize = MAGIC.len() + KEY_BYTES + 8;

/// Bytes that say where a picture is.
const PLACE: usize = 24;

/// Bytes of a picture beyond which it is none of ours.
const MOST: u64 = 1 << 20;

/// Small pictures of all sampled frames, by their place among them.
#[derive(Debug, Clone)]
pub(crate) enum Pictures {
    /// In memory.
    Held(Arc<[Bytes]>),
    /// In a file.
    Stored {
        /// Where it is.
        path: PathBuf,
        /// How many it has.
        count: usize,
    },
}

impl Pictures {
    /// Pictures in memory.
    pub fn held(pictures: Vec<Bytes>) -> Self {
        Self::Held(pictures.into())
    }

    /// How many there are: one for each sampled frame.
    pub fn count(&self) -> usize {
        match self {
            Self::Held(pictures) => pictures.len(),
            Self::Stored { count, .. } => *count,
        }
    }

    /// Bytes in memory.
    pub fn memory(&self) -> usize {
        match self {
            Self::Held(pictures) => pictures.iter().map(Bytes::len).sum(),
            Self::Stored { .. } => 0,
        }
    }

    /// The JPEG of a sampled frame, if there is one. A file is read for it.
    pub fn get(&self, sample: usize) -> Option<Bytes> {
        match self {
            Self::Held(pictures) => pictures.get(sample).filter(|picture| !picture.is_empty()).cloned(),
            Self::Stored { path, .. } => read(path, sample),
        }
    }

    /// Whether a file is to have this picture.
    pub fn are_stored(&self, sample: usize) -> bool {
        matches!(self, Self::Stored { .. }) && sample < self.count()
    }

    /// Writes the pictures to `path`; the file appears once it is complete.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&self, key: &Key, path: &Path) -> io::Result<()> {
        let draft = FileDraft::new(path)?;
        let mut out = BufWriter::new(draft.file());
        out.write_all(MAGIC)?;
        out.write_all(&key_bytes(key))?;
        out.write_all(&(self.count() as u64).to_le_bytes())?;
        let mut place = (HEAD + self.count() * PLACE) as u64;
        for sample in 0..self.count() {
            let picture = self.get(sample).unwrap_or_default();
            out.write_all(&place.to_le_bytes())?;
            out.write_all(&(picture.len() as u64).to_le_bytes())?;
            out.write_all(&mark(&picture))?;
            place += picture.len() as u64;
        }
        (0..self.count()).try_for_each(|sample| out.write_all(&self.get(sample).unwrap_or_default()))?;
        out.flush()?;
        drop(out);
        draft.commit()
    }

    /// The pictures in a file, as far as can be told without reading them: it belongs to `key`, and is whole.
    ///
    /// # Errors
    /// A file that cannot be read ([`io::Error::kind`] as the system has it), or is none ([`io::ErrorKind::InvalidData`]).
    pub fn open(key: &Key, path: &Path) -> io::Result<Self> {
        let mut file = open_regular(path)?;
        let count = head(&mut file, Some(key))?;
        // Pictures lie one behind the other up to the end.
        let mut end = (HEAD + count * PLACE) as u64;
        let mut places = vec![0; count * PLACE];
        read_all(&mut file, &mut places)?;
        for place in places.as_chunks::<PLACE>().0 {
            let place = Place::of(place);
            if place.start != end || place.len > MOST {
                return Err(damaged("its table of pictures is damaged"));
            }
            end += place.len;
        }
        match file.metadata()?.len() == end {
            true => Ok(Self::Stored { path: path.to_owned(), count }),
            false => Err(damaged("it is cut short or too long")),
        }
    }
}

/// Where a picture is, and the mark that it has.
struct Place {
    start: u64,
    len: u64,
    mark: [u8; 8],
}

impl Place {
    fn of(bytes: &[u8; PLACE]) -> Self {
        let part = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at..at + 8]);
            part
        };
        Self { start: u64::from_le_bytes(part(0)), len: u64::from_le_bytes(part(8)), mark: part(16) }
    }
}

/// One picture of a file; `None` if the file is gone by now, or is damaged.
fn read(path: &Path, sample: usize) -> Option<Bytes> {
    let one = || {
        let mut file = open_regular(path)?;
        if sample >= head(&mut file, None)? {
            return Ok(Bytes::new());
        }
        file.seek(SeekFrom::Start((HEAD + sample * PLACE) as u64))?;
        let mut place = [0; PLACE];
        read_all(&mut file, &mut place)?;
        let Place { start, len, mark: expected } = Place::of(&place);
        if len > MOST {
            return Err(damaged("its table of pictures is damaged"));
        }
        file.seek(SeekFrom::Start(start))?;
        let mut picture = vec![0; len as usize];
        read_all(&mut file, &mut picture)?;
        match mark(&picture) == expected {
            true => Ok(picture.into()),
            false => Err(damaged("a picture in it is damaged")),
        }
    };
    match one() {
        Ok(picture) => Some(picture).filter(|picture| !picture.is_empty()),
        Err(error) => {
            tracing::warn!(%error, "a picture of a frame cannot be read from the cache");
            None
        }
    }
}

/// Reads the beginning of a file, and how many pictures it has.
fn head(file: &mut File, key: Option<&Key>) -> io::Result<usize> {
    let mut head = [0; HEAD];
    read_all(file, &mut head)?;
    let (magic, rest) = head.split_at(MAGIC.len());
    let (found, count) = rest.split_at(KEY_BYTES);
    if magic != MAGIC || key.is_some_and(|key| found != key_bytes(key)) {
        return Err(damaged("it has no pictures, or those of another encoding"));
    }
    let count = count.first_chunk().map_or(0, |count| u64::from_le_bytes(*count));
    // So many places at least are in it.
    let places = file.metadata()?.len() / PLACE as u64;
    usize::try_from(count).ok().filter(|_| count <= places).ok_or_else(|| damaged("its table of pictures is damaged"))
}

fn read_all(file: &mut File, bytes: &mut [u8]) -> io::Result<()> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is cut short"),
        _ => error,
    })
}

fn damaged(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn mark(picture: &[u8]) -> [u8; 8] {
    Sha256::digest(picture).first_chunk().copied().unwrap_or_default()
}

fn key_bytes(key: &Key) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
    key.as_str().as_bytes().as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn saved() -> (tempfile::TempDir, PathBuf, Key) {
        let folder = tempfile::tempdir().unwrap();
        let (path, key) = (folder.path().join("a.pictures"), Key::new("a", "b", "c"));
        let pictures = ["first", "", "the third"].map(|text| Bytes::from_static(text.as_bytes()));
        Pictures::held(pictures.to_vec()).save(&key, &path).unwrap();
        (folder, path, key)
    }

    #[test]
    fn a_file_gives_what_memory_had() {
        let (folder, path, key) = saved();
        let pictures = Pictures::open(&key, &path).unwrap();
        assert_eq!((pictures.count(), pictures.memory()), (3, 0));
        assert_eq!(pictures.get(0).unwrap(), "first");
        assert_eq!(pictures.get(2).unwrap(), "the third");
        assert!(pictures.get(1).is_none() && pictures.get(3).is_none() && pictures.get(usize::MAX).is_none());
        let again = folder.path().join("again");
        pictures.save(&key, &again).unwrap();
        assert_eq!(fs::read(again).unwrap(), fs::read(&path).unwrap());
        fs::remove_file(path).unwrap();
        assert!(pictures.get(0).is_none(), "gone meanwhile");
    }

    #[test]
    fn every_damage_is_noticed() {
        let (_folder, path, key) = saved();
        assert!(Pictures::open(&Key::new("a", "b", "d"), &path).is_err(), "another encoding's");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            fs::write(&path, &bytes).unwrap();
            let read = Pictures::open(&key, &path).map(|pictures| (pictures.get(0), pictures.get(2)));
            let unharmed = matches!(&read, Ok((Some(first), Some(third))) if first == "first" && third == "the third");
            // The mark of a picture that there is not is the only byte that matters to nobody.
            assert_eq!(unharmed, (HEAD + PLACE + 16..HEAD + 2 * PLACE).contains(&at), "byte {at}");
        }
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(Pictures::open(&key, &path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
