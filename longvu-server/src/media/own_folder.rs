//! The folder that a server has for itself: others leave it alone while the server lives, and remove it when it was killed.
//!
//! Servers that share a parent each hold a lock in their folder. The system lets go of it when the process ends, however that is.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;

use super::config::SetupError;

const PREFIX: &str = "longvu-server-";
const LOCK: &str = "lock";

/// A folder that goes with this value, or with the next server that starts beside it.
#[derive(Debug)]
pub(super) struct OwnFolder {
    path: PathBuf,
    /// The folder of this user's servers, which goes with the last of them.
    parent: Option<PathBuf>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    /// Dropped first, since an open file keeps some systems from removing the folder.
    _lock: File,
    _folder: TempDir,
}

impl OwnFolder {
    /// Makes a folder for this server in one for all of this user's below `temp`, which others may write to.
    pub(super) fn below(temp: &Path) -> Result<Self, SetupError> {
        let parent = temp.join(name_of_user());
        let failed = |source| SetupError::Folder { folder: parent.clone(), source };
        create_private(&parent).map_err(failed)?;
        check_owner(&parent).map_err(failed)?;
        let own = Self::new(&parent)?;
        Ok(Self { parent: Some(parent), ..own })
    }

    /// Makes a folder in `parent`, which is made too, and removes those of servers that are gone.
    pub(super) fn new(parent: &Path) -> Result<Self, SetupError> {
        let failed = |source| SetupError::Folder { folder: parent.to_owned(), source };
        create_private(parent).map_err(failed)?;
        // One server at a time, so that no folder is seen before its lock is taken.
        let _starting = starting(parent).map_err(failed)?;
        sweep(parent).map_err(failed)?;
        let folder = private(tempfile::Builder::new().prefix(PREFIX)).tempdir_in(parent).map_err(failed)?;
        let lock = open_lock(folder.path()).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let path = folder.path().to_owned();
        Ok(Self { path, parent: None, held: Mutex::new(Some(Held { _lock: lock, _folder: folder })) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder and all that is in it. Nothing can be written to it after that.
    pub(super) fn remove(&self) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(held), Some(parent)) = (held, &self.parent) {
            drop(held);
            remove_if_empty(parent);
        }
    }
}

/// Takes the lock of a parent in which servers start one after the other.
fn starting(parent: &Path) -> io::Result<File> {
    loop {
        create_private(parent)?;
        let lock = open_lock(parent)?;
        lock.lock()?;
        // A server that ended meanwhile may have removed what was waited for.
        if is_at(&lock, &parent.join(LOCK)) {
            return Ok(lock);
        }
    }
}

/// Removes a parent in which there is nothing but its lock.
fn remove_if_empty(parent: &Path) {
    let Ok(lock) = open_lock(parent) else { return };
    if lock.try_lock().is_err() {
        return;
    }
    let others = fs::read_dir(parent)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)));
    if !others {
        let _ = fs::remove_file(parent.join(LOCK));
        let _ = fs::remove_dir(parent);
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().is_ok_and(|file| fs::symlink_metadata(path).is_ok_and(|there| same(file, there)))
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn name_of_user() -> String {
    format!("longvu-{}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn name_of_user() -> String {
    "longvu".to_owned()
}

/// Refuses a folder that somebody else made, or may write to.
#[cfg(unix)]
fn check_owner(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::symlink_metadata(folder)?;
    let own = metadata.is_dir() && metadata.uid() == rustix::process::getuid().as_raw() && metadata.mode() & 0o022 == 0;
    let advice = "it is not this user's alone; remove it, or name another folder (TMPDIR)";
    if own { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, advice)) }
}

#[cfg(not(unix))]
fn check_owner(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes the folders whose lock nobody holds.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        // Not followed where it is a link.
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir();
        if ours && is_abandoned(&entry.path()) {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::info!("removed what a server that was killed had left"),
                Err(error) => tracing::warn!(%error, "cannot remove what a server that was killed had left"),
            }
        }
    }
    Ok(())
}

fn is_abandoned(folder: &Path) -> bool {
    match open_lock(folder).map(|lock| lock.try_lock()) {
        Ok(Ok(())) => true,
        // Another user's, or of a file system that cannot lock: not known to be abandoned.
        Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
    }
}

fn open_lock(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
    }
    options.open(folder.join(LOCK))
}

/// Makes a folder that only this user sees; one that is there stays as it is.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(unix)]
fn private<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>) -> &'a mut tempfile::Builder<'b, 'b> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>) -> &'a mut tempfile::Builder<'b, 'b> {
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(parent: &Path) -> Vec<PathBuf> {
        let mut found: Vec<_> =
            fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        found.sort();
        found
    }

    #[test]
    #[cfg(unix)]
    fn all_of_a_users_servers_share_a_folder_that_goes_with_the_last() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let (first, second) = (OwnFolder::below(temp.path()).unwrap(), OwnFolder::below(temp.path()).unwrap());
        let parent = temp.path().join(name_of_user());
        assert_eq!(folders(temp.path()), std::slice::from_ref(&parent));
        first.remove();
        assert_eq!(folders(&parent), [second.path().to_owned()]);
        second.remove();
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
        // One that others can write to is nobody's own.
        fs::create_dir(&parent).unwrap();
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(OwnFolder::below(temp.path()), Err(SetupError::Folder { .. })));
    }

    #[test]
    fn a_start_removes_the_folders_of_dead_servers_alone() {
        let parent = tempfile::tempdir().unwrap();
        let living = OwnFolder::new(parent.path()).unwrap();
        fs::write(living.path().join("upload"), b"kept").unwrap();
        for (name, with_lock) in [("longvu-server-dead", true), ("longvu-server-half", false)] {
            let dead = parent.path().join(name);
            fs::create_dir(&dead).unwrap();
            fs::write(dead.join("upload"), b"left").unwrap();
            if with_lock {
                fs::write(dead.join(LOCK), b"").unwrap();
            }
        }
        let other = parent.path().join("another-program");
        fs::create_dir(&other).unwrap();

        let next = OwnFolder::new(parent.path()).unwrap();
        let mut expected = vec![living.path().to_owned(), next.path().to_owned(), other];
        expected.sort();
        assert_eq!(folders(parent.path()), expected);
        assert_eq!(fs::read(living.path().join("upload")).unwrap(), b"kept");
    }

    /// Run by another test in a process of its own, which holds a folder until it is killed.
    #[test]
    fn held_until_killed() {
        let Some(parent) = std::env::var_os("LONGVU_TEST_HELD_FOLDER") else { return };
        let folder = OwnFolder::new(Path::new(&parent)).unwrap();
        fs::write(folder.path().join("upload"), b"left").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }

    #[test]
    fn what_a_killed_server_left_goes_with_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let mut server = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "media::own_folder::tests::held_until_killed"])
            .env("LONGVU_TEST_HELD_FOLDER", parent.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let uploads = || folders(parent.path()).into_iter().filter(|folder| folder.join("upload").exists()).count();
        for _ in 0..2000 {
            if uploads() == 1 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // While it lives, a start beside it leaves it alone.
        drop(OwnFolder::new(parent.path()).unwrap());
        assert_eq!(uploads(), 1);
        server.kill().unwrap();
        server.wait().unwrap();
        let next = OwnFolder::new(parent.path()).unwrap();
        assert_eq!(folders(parent.path()), [next.path()]);
    }

    #[test]
    fn it_goes_with_the_server() {
        let parent = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(&parent.path().join("made/too")).unwrap();
        fs::write(folder.path().join("upload"), b"").unwrap();
        folder.remove();
        assert!(!folder.path().exists());
        let folder = OwnFolder::new(parent.path()).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_sees_into_it() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let parent = tempfile::tempdir().unwrap();
        let folder = OwnFolder::new(&parent.path().join("new")).unwrap();
        for path in [folder.path(), folder.path().parent().unwrap()] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        // A link that looks like a dead server's folder is not followed.
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), b"").unwrap();
        symlink(outside.path(), parent.path().join("longvu-server-link")).unwrap();
        let _next = OwnFolder::new(parent.path()).unwrap();
        assert!(outside.path().join("precious").exists());
    }
}
