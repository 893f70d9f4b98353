//! Files of folders that the operator named.
//!
//! What is outside them is not told apart from what is not there, so that nobody can ask what the machine has.

use std::{
    collections::HashMap,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::{
    config::SetupError,
    store::{self, hex},
};
use crate::api_error::ApiError;

/// Hashes that are remembered.
const REMEMBERED: usize = 1024;
/// A file that changed more recently than this may change again within the same tick of the file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// The folders that are allowed, and the hashes of their files.
#[derive(Debug)]
pub(super) struct Folders {
    /// Without links.
    folders: Vec<PathBuf>,
    hashes: Mutex<HashMap<PathBuf, (State, String)>>,
}

/// A file of such a folder, which belongs to the operator.
#[derive(Debug)]
pub(super) struct Outside {
    pub path: PathBuf,
    /// The file that was hashed, by a path that leads to no other, whatever becomes of folders above it.
    pub opened: PathBuf,
    file: File,
    pub sha256: String,
    pub state: State,
}

/// What tells a file from what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub bytes: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and when the inode changed, in seconds and nanoseconds.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Folders {
    pub(super) fn new(folders: &[PathBuf]) -> Result<Self, SetupError> {
        let canonical = |folder: &PathBuf| {
            let failed = |source| SetupError::Folder { folder: folder.clone(), source };
            let found = folder.canonicalize().map_err(failed)?;
            if found.is_dir() { Ok(found) } else { Err(failed(io::ErrorKind::NotADirectory.into())) }
        };
        Ok(Self { folders: folders.iter().map(canonical).collect::<Result<_, _>>()?, hashes: Mutex::default() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// The file of a path, absolute or below one of the folders. It is read for its hash, unless `stop` is set meanwhile.
    pub(super) fn find(&self, reference: &str, stop: &AtomicBool) -> Result<Outside, ApiError> {
        let reference = Path::new(reference);
        // Even one that stays inside would tell whether the folder before it is there.
        if reference.components().any(|part| part == Component::ParentDir) {
            return Err(not_found());
        }
        let (path, mut file) =
            self.folders.iter().find_map(|folder| self.open(&folder.join(reference))).ok_or_else(not_found)?;
        let state = State::of(&file.metadata().map_err(|error| store::storage(&error))?);
        if let Some(sha256) = self.remembered(&path, &state) {
            return Ok(Outside { opened: opened(&file, &path), file, path, sha256, state });
        }
        let sha256 = hash(&mut file, stop)?;
        let outside = Outside { opened: opened(&file, &path), file, path, sha256, state };
        if outside.changed() {
            return Err(ApiError::bad_request("the file changes while it is read; try again when it is whole"));
        }
        self.remember(&outside);
        Ok(outside)
    }

    /// Opens a regular file that is in one of the folders once all links are followed.
    fn open(&self, path: &Path) -> Option<(PathBuf, File)> {
        let path = path.canonicalize().ok()?;
        let inside = self.folders.iter().any(|folder| path.starts_with(folder));
        if !inside || !fs::symlink_metadata(&path).ok()?.is_file() {
            return None;
        }
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // What is swapped in for it meanwhile is neither followed nor waited for.
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.custom_flags(flags.bits() as i32);
        }
        let file = options.open(&path).ok()?;
        // A folder above it may have been swapped since.
        let inside = |place: PathBuf| self.folders.iter().any(|folder| place.starts_with(folder));
        (file.metadata().ok()?.is_file() && place(&file).is_none_or(inside)).then_some((path, file))
    }

    fn remembered(&self, path: &Path, state: &State) -> Option<String> {
        let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.get(path).filter(|(of, _)| of == state).map(|(_, sha256)| sha256.clone())
    }

    fn remember(&self, outside: &Outside) {
        let Some(age) = outside.state.modified.and_then(|time| time.elapsed().ok()) else { return };
        if age < SETTLED {
            return;
        }
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.len() >= REMEMBERED {
            hashes.clear();
        }
        hashes.insert(outside.path.clone(), (outside.state.clone(), outside.sha256.clone()));
    }
}

impl Outside {
    /// Whether the file is no longer what was hashed.
    pub(super) fn changed(&self) -> bool {
        self.file.metadata().map_or(true, |now| State::of(&now) != self.state)
    }
}

/// Where an open file is, as far as the system tells.
#[cfg(target_os = "linux")]
fn place(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(not(target_os = "linux"))]
fn place(_: &File) -> Option<PathBuf> {
    None
}

/// A path by which another process of this user opens what is open here.
#[cfg(target_os = "linux")]
fn opened(file: &File, _: &Path) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into()
}

#[cfg(not(target_os = "linux"))]
fn opened(_: &File, path: &Path) -> PathBuf {
    path.to_owned()
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Sets a flag when it is dropped, as a future is whose client went away.
pub(super) struct StopOnDrop(pub Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn hash(file: &mut File, stop: &AtomicBool) -> Result<String, ApiError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(ApiError::given_up());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hasher.finalize())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(store::storage(&error)),
        }
    }
}

fn not_found() -> ApiError {
    ApiError::bad_request("there is no such file in a folder that requests may name files of").code("file_not_found")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        root: tempfile::TempDir,
        folders: Folders,
    }

    /// `allowed/clip.mp4` and `allowed/sub/clip.mp4` are allowed, `secret.mp4` and `allowed-too/clip.mp4` are not.
    fn fixture() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        for folder in ["allowed/sub", "allowed-too"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["allowed/clip.mp4", "allowed/sub/clip.mp4", "allowed-too/clip.mp4", "secret.mp4"] {
            fs::write(root.path().join(file), file).unwrap();
        }
        let folders = Folders::new(&[root.path().join("allowed")]).unwrap();
        Fixture { root, folders }
    }

    impl Fixture {
        fn find(&self, reference: &str) -> Result<Outside, ApiError> {
            self.folders.find(reference, &AtomicBool::new(false))
        }

        fn absolute(&self, file: &str) -> String {
            self.root.path().join(file).to_str().unwrap().to_owned()
        }
    }

    #[test]
    fn files_below_are_found_by_either_path() {
        let fixture = fixture();
        for reference in ["clip.mp4", "./clip.mp4", &fixture.absolute("allowed/clip.mp4")] {
            let found = fixture.find(reference).unwrap();
            assert_eq!(found.sha256, hex(&Sha256::digest("allowed/clip.mp4")), "{reference}");
            assert_eq!(found.state.bytes, 16);
        }
        assert!(fixture.find("sub//clip.mp4").is_ok());
    }

    #[test]
    fn all_else_is_not_there() {
        let fixture = fixture();
        let deep = "a/".repeat(5000);
        for reference in [
            "missing.mp4",
            "",
            ".",
            "sub",
            "/",
            "../secret.mp4",
            "sub/../clip.mp4",
            "sub/../../secret.mp4",
            "clip.mp4/",
            "clip.mp4\0",
            "\0",
            "clip.mp4\0.mp4",
            "/etc/passwd",
            "/dev/zero",
            "/dev/stdin",
            "/proc/self/environ",
            "~/clip.mp4",
            "..",
            &deep,
            &fixture.absolute("secret.mp4"),
            &fixture.absolute("allowed-too/clip.mp4"),
            &fixture.absolute("missing.mp4"),
            &fixture.absolute("allowed"),
            &fixture.absolute("allowed/../secret.mp4"),
            &fixture.absolute("allowed/../allowed/clip.mp4"),
        ] {
            let error = fixture.find(reference).unwrap_err();
            assert_eq!((error.status.as_u16(), &error.message), (400, &not_found().message), "{reference:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_is_swapped_leads_to_no_other_file() {
        let fixture = fixture();
        let found = fixture.find("sub/clip.mp4").unwrap();
        let sub = fixture.root.path().join("allowed/sub");
        fs::rename(&sub, fixture.root.path().join("moved")).unwrap();
        fs::create_dir(&sub).unwrap();
        fs::write(sub.join("clip.mp4"), "another").unwrap();
        assert_eq!(hex(&Sha256::digest(fs::read(&found.opened).unwrap())), found.sha256);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_pipes_and_devices_are_not_there() {
        use std::os::unix::fs::symlink;
        let fixture = fixture();
        let allowed = fixture.root.path().join("allowed");
        symlink("../secret.mp4", allowed.join("out.mp4")).unwrap();
        symlink("/", allowed.join("root")).unwrap();
        symlink("/dev/zero", allowed.join("zero.mp4")).unwrap();
        symlink("loop.mp4", allowed.join("loop.mp4")).unwrap();
        symlink("sub/clip.mp4", allowed.join("in.mp4")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, allowed.join("pipe.mp4"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(allowed.join("socket.mp4")).unwrap();
        for reference in ["out.mp4", "root/etc/passwd", "zero.mp4", "loop.mp4", "pipe.mp4", "socket.mp4"] {
            assert_eq!(fixture.find(reference).unwrap_err().message, not_found().message, "{reference}");
        }
        assert!(fixture.find("in.mp4").is_ok());
    }

    #[test]
    fn a_file_that_changed_is_hashed_again() {
        let fixture = fixture();
        let path = fixture.root.path().join("allowed/clip.mp4");
        let settled = SystemTime::now() - Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(settled).unwrap();
        let before = fixture.find("clip.mp4").unwrap();
        assert_eq!(fixture.find("clip.mp4").unwrap().sha256, before.sha256);
        assert_eq!(fixture.folders.hashes.lock().unwrap().len(), 1);
        assert!(!before.changed());

        fs::write(&path, "another content").unwrap();
        assert!(before.changed());
        assert_ne!(fixture.find("clip.mp4").unwrap().sha256, before.sha256);
        fs::remove_file(&path).unwrap();
        assert!(before.changed());
    }

    #[test]
    fn reading_stops_when_nobody_waits() {
        assert!(fixture().folders.find("clip.mp4", &AtomicBool::new(true)).is_err());
    }

    #[test]
    fn a_folder_that_is_not_one_is_told_at_the_start() {
        let fixture = fixture();
        for folder in ["missing", "secret.mp4"] {
            assert!(Folders::new(&[fixture.root.path().join(folder)]).is_err(), "{folder}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_or_leads_out(path in "(\\.|/|\\.\\./|sub|clip\\.mp4|allowed|secret|\\PC|\0){0,10}") {
            let fixture = fixture();
            if let Ok(found) = fixture.find(&path) {
                proptest::prop_assert!(found.path.starts_with(&fixture.folders.folders[0]));
            }
        }
    }
}
