//! Files and folders that are there whole or not at all, whenever their writer is killed.
//!
//! A draft grows beside its place, under a hidden name, and takes the place when it is complete. Its writer holds a lock on
//! it. What a killed writer left, on which nobody holds a lock, is removed when the next draft is begun in that folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Error, ErrorKind, Result, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Beginning and ends of drafts' names; a process and a number stand between them.
const PREFIX: &str = ".longvu-";
const FILE_END: &str = ".tmp";
const FOLDER_END: &str = ".tmpdir";

/// The file in a folder that its writer locks.
const LOCK: &str = ".longvu-lock";

/// Attempts at a name that nobody else takes or sweeps away meanwhile.
const ATTEMPTS: usize = 100;

/// Writes a file of these bytes; one that was there is replaced.
///
/// # Errors
/// As [`FileDraft::new`] and [`FileDraft::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = FileDraft::new(path)?;
    draft.write_all(bytes)?;
    draft.commit()
}

/// A file that grows under a hidden name; it vanishes unless it is [committed](Self::commit).
#[derive(Debug)]
pub struct FileDraft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl FileDraft {
    /// Begins a file that is to be at `target`; a link to something there is followed, for it is its target that is meant.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be written to, and a `target` that is there and no file.
    pub fn new(target: &Path) -> Result<Self> {
        let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        if fs::metadata(&target).is_ok_and(|there| !there.is_file()) {
            return Err(Error::new(ErrorKind::AlreadyExists, "there is something that is not a file"));
        }
        let folder = folder_of(&target)?;
        sweep(&folder);
        for _ in 0..ATTEMPTS {
            let path = folder.join(draft_name(FILE_END));
            let Some(file) = unless_taken(OpenOptions::new().read(true).write(true).create_new(true).open(&path))?
            else {
                continue;
            };
            if lock_kept(&file, &path) {
                return Ok(Self { file, path, target, committed: false });
            }
        }
        Err(exhausted())
    }

    /// The file, to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its place; one that was there is replaced.
    ///
    /// # Errors
    /// Whatever the file system says. Some report a full disk only here, when asked to store for good.
    pub fn commit(mut self) -> Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        self.committed = true;
        Ok(())
    }
}

impl Write for FileDraft {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Drop for FileDraft {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A folder that is filled under a hidden name; it vanishes unless it is [committed](Self::commit).
#[derive(Debug)]
pub struct FolderDraft {
    path: PathBuf,
    target: PathBuf,
    replaces: bool,
    committed: bool,
    _lock: File,
}

impl FolderDraft {
    /// Begins a folder that is to be at `target`.
    ///
    /// # Errors
    /// A `target` that is there already, and a place that cannot be written to.
    pub fn new(target: &Path) -> Result<Self> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, "it already exists, and nothing is overwritten"));
        }
        Self::begin(target, false)
    }

    /// Begins a folder that is to be at `target`, in place of the one that is there, which goes just before.
    ///
    /// # Errors
    /// A place that cannot be written to.
    pub fn replacing(target: &Path) -> Result<Self> {
        Self::begin(target, true)
    }

    fn begin(target: &Path, replaces: bool) -> Result<Self> {
        let folder = folder_of(target)?;
        sweep(&folder);
        for _ in 0..ATTEMPTS {
            let path = folder.join(draft_name(FOLDER_END));
            if unless_taken(fs::create_dir(&path))?.is_none() {
                continue;
            }
            let lock = path.join(LOCK);
            let file = match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(file) => file,
                // Swept away while it was empty.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    let _ = fs::remove_dir(&path);
                    return Err(error);
                }
            };
            if lock_kept(&file, &lock) {
                return Ok(Self { path, target: target.to_owned(), replaces, committed: false, _lock: file });
            }
        }
        Err(exhausted())
    }

    /// Where it is until then.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its place.
    ///
    /// # Errors
    /// Whatever the file system says; a folder that has appeared at that place and is not empty.
    pub fn commit(mut self) -> Result<()> {
        if self.replaces && fs::symlink_metadata(&self.target).is_ok() {
            fs::remove_dir_all(&self.target)?;
        }
        fs::rename(&self.path, &self.target)?;
        self.committed = true;
        // Only now: a draft without its lock would be nobody's, and no sweep would remove it.
        fs::remove_file(self.target.join(LOCK))
    }
}

impl Drop for FolderDraft {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// A folder that one process at a time works in, for as long as this value lives.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks `folder`, which must exist; `None` if another process, or another value of this one, has it.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn try_new(folder: &Path) -> Result<Option<Self>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(LOCK))?;
        match file.try_lock() {
            // A file system without locks cannot tell: there everyone has it.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
        }
    }
}

fn folder_of(path: &Path) -> Result<PathBuf> {
    if path.file_name().is_none() {
        return Err(Error::new(ErrorKind::InvalidInput, "the path names no file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(folder.unwrap_or(Path::new(".")).to_owned())
}

fn draft_name(end: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{PREFIX}{process}-{number}{end}")
}

/// The end of a draft's name, if it is one.
fn draft_end(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix(PREFIX)?;
    let end = [FILE_END, FOLDER_END].into_iter().find(|end| rest.ends_with(end))?;
    let (process, number) = rest.strip_suffix(end)?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(process) && is_number(number)).then_some(end)
}

fn unless_taken<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(made) => Ok(Some(made)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

fn exhausted() -> Error {
    Error::other("no free name for a temporary file was found")
}

/// Locks a file that was just made; false if somebody took it for a dead writer's and removed it before.
fn lock_kept(file: &File, path: &Path) -> bool {
    // A file system without locks takes nobody for dead, either.
    file.lock().is_err() || fs::symlink_metadata(path).is_ok()
}

/// Removes the drafts in `folder` that nobody holds. Failing to is no reason not to write.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_name().to_str().and_then(draft_end) {
            Some(FILE_END) => {
                if let Some(_held) = dead(&path) {
                    let _ = fs::remove_file(&path);
                }
            }
            Some(_) => {
                if let Some(_held) = dead(&path.join(LOCK)) {
                    let _ = fs::remove_dir_all(&path);
                }
                // Its writer was killed before it could lock it.
                let _ = fs::remove_dir(&path);
            }
            None => {}
        }
    }
}

/// The lock on a file that no writer holds any more.
fn dead(path: &Path) -> Option<File> {
    let file = crate::files::open_regular(path).ok()?;
    file.try_lock().is_ok().then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_and_a_dropped_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        drop(FileDraft::new(&target).unwrap());
        assert!(names(folder.path()).is_empty());
        fs::write(&target, "old").unwrap();
        let draft = FileDraft::new(&target).unwrap();
        draft.file().write_all(b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        draft.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a"]);
        assert!(FileDraft::new(folder.path()).is_err());
        assert!(FileDraft::new(&folder.path().join("none/a")).is_err());
    }

    #[test]
    fn a_folder_appears_whole_and_a_dropped_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("model");
        let draft = FolderDraft::new(&target).unwrap();
        fs::write(draft.path().join("x"), "1").unwrap();
        drop(draft);
        assert!(names(folder.path()).is_empty());
        let draft = FolderDraft::new(&target).unwrap();
        fs::write(draft.path().join("x"), "1").unwrap();
        draft.commit().unwrap();
        assert_eq!((names(folder.path()), names(&target)), (vec!["model".to_owned()], vec!["x".to_owned()]));
        assert_eq!(FolderDraft::new(&target).unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(FolderDraft::replacing(&target).unwrap());
        assert_eq!(names(&target), ["x"]);
        let draft = FolderDraft::replacing(&target).unwrap();
        fs::write(draft.path().join("y"), "2").unwrap();
        draft.commit().unwrap();
        assert_eq!((names(folder.path()), names(&target)), (vec!["model".to_owned()], vec!["y".to_owned()]));
    }

    #[test]
    fn what_dead_writers_left_goes_and_what_living_ones_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| folder.path().join(name);
        for name in [".longvu-4000000000-0.tmp", ".longvu-cache", ".longvu-1-x.tmp", "longvu-1-1.tmp"] {
            fs::write(of(name), "left").unwrap();
        }
        fs::create_dir(of(".longvu-4000000000-1.tmpdir")).unwrap();
        fs::create_dir(of(".longvu-4000000000-2.tmpdir")).unwrap();
        fs::write(of(".longvu-4000000000-2.tmpdir/.longvu-lock"), "").unwrap();
        fs::write(of(".longvu-4000000000-2.tmpdir/weights"), "half").unwrap();
        let (file, model) = (FileDraft::new(&of("a")).unwrap(), FolderDraft::new(&of("b")).unwrap());
        let others = FileDraft::new(&of("c")).unwrap();
        file.commit().unwrap();
        model.commit().unwrap();
        others.commit().unwrap();
        assert_eq!(names(folder.path()), [".longvu-1-x.tmp", ".longvu-cache", "a", "b", "c", "longvu-1-1.tmp"]);
    }

    #[test]
    fn a_folder_is_locked_once() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::try_new(folder.path()).unwrap();
        assert!(lock.is_some());
        assert!(FolderLock::try_new(folder.path()).unwrap().is_none());
        drop(lock);
        assert!(FolderLock::try_new(folder.path()).unwrap().is_some());
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let draft = FileDraft::new(&link).unwrap();
        draft.file().write_all(b"new").unwrap();
        draft.commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }
}
