//! A file mapped into memory, of which only what is in use stays there.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::Mmap;

use crate::{Error, Result};

/// Bytes that are converted at a time: many times what a thread takes at once, and nothing beside a model.
pub const BLOCK: usize = 8 << 20;

/// A file that is mapped, not read.
pub struct MappedFile {
    path: PathBuf,
    file: File,
    map: Arc<Mmap>,
}

impl MappedFile {
    /// Maps the file at `path`; nothing of it is read yet.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        // SAFETY: the map is read-only. Another process that shortens or overwrites the file in place while it is mapped
        // would fault this one, or change its weights, as with every reader that maps weights; documented for users.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, map: Arc::new(map) })
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The pieces of `range`, in order, each in memory for as long as it is held; all but the last have [`BLOCK`] bytes.
    ///
    /// # Errors
    /// Each item as [`MappedFile::window`].
    pub fn blocks(&self, range: Range<usize>) -> impl Iterator<Item = Result<Window>> {
        let end = range.end;
        range.step_by(BLOCK).map(move |start| self.window(start..end.min(start + BLOCK)))
    }

    /// The bytes in `range`, read now and in memory until the window is dropped.
    ///
    /// # Errors
    /// [`Error::BadWeights`] when they are no longer there, or cannot be read.
    pub fn window(&self, range: Range<usize>) -> Result<Window> {
        let lost = |reason: String| Error::BadWeights { path: self.path.clone(), reason };
        let len = self.file.metadata().map_err(Error::io(&self.path))?.len();
        if (range.end as u64) > len {
            return Err(lost(format!(
                "it was cut short to {len} bytes after it was opened; restore it, and load the model again"
            )));
        }
        let window = Window { map: Arc::clone(&self.map), range };
        window.read().map_err(|e| lost(format!("reading it failed ({e}); check the disk")))?;
        Ok(window)
    }
}

/// A part of a mapped file that is in memory; dropping it gives the memory back.
pub struct Window {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl Window {
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
        &self.map[self.range.clone()]
    }
}

impl Drop for Window {
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
