//! Reading files that come from elsewhere: regular files only, within a limit.

use std::{
    fs::File,
    io::{Error, ErrorKind, Read, Result},
    path::Path,
};

use crate::memory;

/// Opens the regular file at `path` for reading; links are followed.
///
/// Never waits, as opening a named pipe for reading otherwise does until somebody writes to it.
///
/// # Errors
/// What the operating system says, or [`ErrorKind::InvalidInput`] for a folder, pipe, socket or device.
pub fn open_regular(path: &Path) -> Result<File> {
    if memory::find(path).is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "it is in memory, where safetensors and small files are read"));
    }
    // Before opening, because opening alone can set a device to work.
    ensure_regular(&std::fs::metadata(path)?)?;
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    // Again, because the path may name another file by now.
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Whether there is a regular file at `path`; links are followed.
///
/// # Errors
/// What the operating system says, or [`ErrorKind::InvalidInput`] for something else of that name.
pub fn is_regular(path: &Path) -> Result<bool> {
    if let Some(found) = memory::find(path) {
        return Ok(found.is_ok());
    }
    match std::fs::metadata(path) {
        Ok(metadata) => ensure_regular(&metadata).map(|()| true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is a folder at `path`.
pub fn is_folder(path: &Path) -> bool {
    path.is_dir() || memory::is_folder(path)
}

/// The bytes of the regular file at `path`, of which there may be `limit`.
///
/// # Errors
/// As [`open_regular`], or [`ErrorKind::FileTooLarge`] with the size and the limit.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let too_large =
        |size: String| Error::new(ErrorKind::FileTooLarge, format!("{size}, more than the {limit} allowed"));
    if let Some(found) = memory::find(path) {
        let bytes = found?;
        let fits = bytes.len() as u64 <= limit;
        return if fits { Ok(bytes.to_vec()) } else { Err(too_large(format!("it has {} bytes", bytes.len()))) };
    }
    let file = open_regular(path)?;
    let stated = file.metadata()?.len();
    if stated > limit {
        return Err(too_large(format!("it has {stated} bytes")));
    }
    // One byte more than the file has shows a file that grows; system files such as those of /proc state no size.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(stated.saturating_add(1).try_into().unwrap_or(usize::MAX))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(format!("it goes on after {limit} bytes")));
    }
    Ok(bytes)
}

/// The first bytes of the regular file at `path`, `count` or all.
///
/// # Errors
/// As [`open_regular`].
pub fn read_start(path: &Path, count: usize) -> Result<Vec<u8>> {
    if let Some(found) = memory::find(path) {
        return found.map(|bytes| bytes[..count.min(bytes.len())].to_vec());
    }
    let mut start = Vec::new();
    open_regular(path)?.take(count as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Refuses what is no regular file, by what it is.
fn ensure_regular(metadata: &std::fs::Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let reason = format!("it is {}, and a regular file is expected", kind(metadata.file_type()));
    Err(Error::new(ErrorKind::InvalidInput, reason))
}

#[cfg(unix)]
fn kind(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match kind {
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "of another kind",
    }
}

#[cfg(not(unix))]
fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() { "a folder" } else { "of another kind" }
}

/// Bytes that may be written to the file system of the folder at `path`; `None` where the system does not say.
#[cfg(unix)]
pub fn free_space(path: &Path) -> Option<u64> {
    let path = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero byte, and the system fills the structure where it returns 0.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    #[allow(clippy::unnecessary_cast, reason = "these types are not the same everywhere")]
    Some((found.f_bavail as u64).saturating_mul(found.f_frsize as u64))
}

/// Bytes that may be written to the file system of the folder at `path`; `None` where the system does not say.
#[cfg(not(unix))]
pub fn free_space(_path: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345678").unwrap();
        assert_eq!(read_limited(&path, 8).unwrap(), b"12345678");
        let error = read_limited(&path, 7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has 8 bytes, more than the 7 allowed");
        assert_eq!(read_limited(&folder.path().join("none"), 8).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_vast_sparse_file_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 42).unwrap();
        assert!(read_limited(&path, 1 << 20).unwrap_err().to_string().contains("4398046511104"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_states_no_size_is_read_up_to_the_limit() {
        let path = Path::new("/proc/self/stat");
        assert!(read_limited(path, 1 << 16).unwrap().len() > 20);
        assert_eq!(read_limited(path, 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    #[cfg(unix)]
    fn pipes_sockets_devices_and_folders_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let (zero, start) = (Path::new("/dev/zero"), std::time::Instant::now());
        for (path, name) in
            [(pipe.as_path(), "a named pipe"), (&socket, "a socket"), (zero, "a device"), (folder.path(), "a folder")]
        {
            let error = read_limited(path, 10).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(start.elapsed().as_secs() < 5);
    }

    #[test]
    #[cfg(unix)]
    fn a_disk_has_space_and_nothing_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(folder.path()).is_some_and(|free| free > 0 && free < 1 << 60));
        assert_eq!(free_space(&folder.path().join("none")), None);
    }
}
