//! A file of weights, of which only what is in use is in memory.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use memmap2::Mmap;

use crate::{
    Error, Result, files,
    memory::{self, Bytes},
};

/// Bytes that are converted at a time: many times what a thread takes at once, and nothing beside a model.
pub const BLOCK: usize = 8 << 20;

/// How the weights of safetensors files come into memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mapping {
    /// The file is mapped: weights that are used as they are stored take no memory of their own, and the system may drop
    /// and read them again. No other program may shorten or overwrite the file in place while a model that was loaded so
    /// lives: the system then ends the process (SIGBUS), or the weights change. Replacing it by a new file does no harm.
    #[default]
    Map,
    /// The file is read, and not needed any more once a model is loaded. For files that others may change, and for file
    /// systems that may go away.
    Read,
}

/// An open file of weights.
pub struct WeightsFile {
    path: PathBuf,
    place: Place,
}

/// Where its bytes are.
enum Place {
    /// On a disk, and mapped unless it is read.
    Disk { file: File, opened: Stamp, map: Option<Arc<Mmap>> },
    /// In this process's memory.
    Memory(Bytes),
}

/// What tells that a file was written to.
#[derive(PartialEq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { len: metadata.len(), modified: metadata.modified().ok() })
    }
}

impl WeightsFile {
    /// Opens the regular file at `path`; nothing of it is read yet.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(path: &Path, mapping: Mapping) -> Result<Self> {
        if let Some(found) = memory::find(path) {
            return Ok(Self { path: path.to_owned(), place: Place::Memory(found.map_err(Error::read(path))?) });
        }
        let file = files::open_regular(path).map_err(Error::read(path))?;
        let opened = Stamp::of(&file).map_err(Error::read(path))?;
        let map = match mapping {
            // SAFETY: the map is read-only. Another process that shortens or overwrites the file in place while it is
            // mapped would fault this one, or change its weights, as with every reader that maps weights; documented for
            // users, who can have files read instead.
            Mapping::Map => Some(Arc::new(unsafe { Mmap::map(&file) }.map_err(Error::read(path))?)),
            Mapping::Read => None,
        };
        Ok(Self { path: path.to_owned(), place: Place::Disk { file, opened, map } })
    }

    /// Bytes of the file when it was opened.
    pub fn len(&self) -> u64 {
        match &self.place {
            Place::Disk { opened, .. } => opened.len,
            Place::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes in `range`, copied.
    ///
    /// # Errors
    /// [`Error::BadWeights`] when the file has changed since it was opened, or cannot be read.
    pub fn copy(&self, range: Range<usize>) -> Result<Vec<u8>> {
        self.check()?;
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(range.len()).map_err(std::io::Error::from);
        let read = reserved.and_then(|()| match &self.place {
            Place::Disk { file, .. } => {
                bytes.resize(range.len(), 0);
                read_exact_at(file, &mut bytes, range.start as u64)
            }
            Place::Memory(all) => {
                let part = all.get(range).ok_or(std::io::ErrorKind::UnexpectedEof)?;
                bytes.extend_from_slice(part);
                Ok(())
            }
        });
        read.map_err(|error| self.unread(&error))?;
        Ok(bytes)
    }

    /// Whether the bytes from `start` lie, in memory, where numbers of `size` bytes may.
    pub fn is_aligned(&self, start: usize, size: usize) -> bool {
        self.map().is_none_or(|map| (map.as_ptr().addr() + start).is_multiple_of(size))
    }

    /// The pieces of `range`, in order, each in memory for as long as it is held; all but the last have [`BLOCK`] bytes.
    ///
    /// # Errors
    /// Each item as [`WeightsFile::window`].
    pub fn blocks(&self, range: Range<usize>) -> impl Iterator<Item = Result<Window>> {
        let end = range.end;
        range.step_by(BLOCK).map(move |start| self.window(start..end.min(start + BLOCK)))
    }

    /// The bytes in `range`, read now and in memory until the window is dropped.
    ///
    /// # Errors
    /// [`Error::BadWeights`] when the file has changed since it was opened, or cannot be read.
    pub fn window(&self, range: Range<usize>) -> Result<Window> {
        let Some(map) = self.map() else { return Ok(Window::Read(self.copy(range)?)) };
        self.check()?;
        let window = MappedWindow { map: Arc::clone(map), range };
        window.read().map_err(|error| self.unread(&error))?;
        Ok(Window::Mapped(window))
    }

    fn map(&self) -> Option<&Arc<Mmap>> {
        match &self.place {
            Place::Disk { map, .. } => map.as_ref(),
            Place::Memory(_) => None,
        }
    }

    /// Checks that the file is what it was.
    fn check(&self) -> Result<()> {
        let Place::Disk { file, opened, .. } = &self.place else { return Ok(()) };
        let now = Stamp::of(file).map_err(Error::read(&self.path))?;
        let reason = if now.len < opened.len {
            format!("it was cut short to {} bytes after it was opened; restore it, and load the model again", now.len)
        } else if now != *opened {
            "it was written to after it was opened; let that finish, and load the model again".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::BadWeights { path: self.path.clone(), reason })
    }

    fn unread(&self, error: &std::io::Error) -> Error {
        let reason = format!("reading it failed ({error}); check the disk and the free memory");
        Error::BadWeights { path: self.path.clone(), reason }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

/// A part of a file that is in memory; dropping it gives the memory back.
pub enum Window {
    Mapped(MappedWindow),
    Read(Vec<u8>),
}

/// A part of a mapped file.
pub struct MappedWindow {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl MappedWindow {
    /// Brings the pages in, so that a failing disk is an error here and not a fault later.
    ///
    /// Kernels before 5.14 do not know the request, and read when the bytes are touched.
    #[cfg(target_os = "linux")]
    fn read(&self) -> std::io::Result<()> {
        if self.range.is_empty() {
            return Ok(());
        }
        match self.map.advise_range(memmap2::Advice::PopulateRead, self.range.start, self.range.len()) {
            Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Mapped(MappedWindow { map, range }) => &map[range.clone()],
            Self::Read(bytes) => bytes,
        }
    }
}

impl Drop for MappedWindow {
    fn drop(&mut self) {
        #[cfg(unix)]
        if !self.range.is_empty() {
            // SAFETY: the map is shared, of a file and never written to, so that pages let go are read again from the
            // file when they are touched; that holds for neighbours which share the first or last page, too.
            // A refusal costs memory and nothing else.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, self.range.start, self.range.len())
            };
        }
    }
}
