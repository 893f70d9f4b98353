//! Files to decode, decoders, and a look at processes.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use longvu::{Frame, VideoOptions};
use longvu_server::{
    Isolation,
    internals::{DecodeError, DecodeLimits, Decoder},
};

/// The variable that makes this program play another part than that of the tests.
pub const ROLE: &str = "LONGVU_TEST_ROLE";

pub const LIMITS: DecodeLimits =
    DecodeLimits { pixels: 1 << 27, frames: 1000, seconds: 36_000.0, memory: 2 << 30, time: Duration::from_secs(60) };

/// A golden video by name.
pub fn golden(name: &str) -> PathBuf {
    let folder = std::env::var_os("LONGVU_GOLDEN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), PathBuf::from);
    folder.join("videos").join(name)
}

pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs `ffmpeg` with arguments split at spaces, the output file last.
pub fn ffmpeg(arguments: &str, output: PathBuf) -> PathBuf {
    let result = Command::new("ffmpeg")
        .args(["-nostdin", "-y", "-v", "error"])
        .args(arguments.split_whitespace())
        .arg(&output)
        .output()
        .expect("these tests make their videos with the `ffmpeg` program: install it (`make deps`)");
    assert!(result.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&result.stderr));
    output
}

/// Decoding in processes of this program.
pub fn isolated(limits: DecodeLimits) -> Decoder {
    Decoder::new(Isolation::CurrentProgram, limits).expect("main calls init")
}

/// Decoding by a shell script, which is no decoder.
pub fn scripted(script: &str, limits: DecodeLimits) -> Decoder {
    let args = ["-c", script].map(OsString::from).to_vec();
    Decoder::new(Isolation::Program { path: "/bin/sh".into(), args }, limits).expect("a decoder")
}

/// All frames of a file, and the warnings.
pub fn all(decoder: &Decoder, path: &Path, options: &VideoOptions) -> (Vec<Frame>, Vec<String>) {
    let mut decoding = decoder.open(path, options).expect("it opens");
    let frames = decoding.by_ref().map(|frame| frame.expect("a frame")).collect();
    (frames, decoding.warnings().texts())
}

/// The error of a frame.
pub fn cause(error: longvu::Error) -> DecodeError {
    let longvu::Error::Source(source) = error else { panic!("an error of decoding, not {error}") };
    *source.downcast().expect("an error of decoding")
}

/// The error of opening or decoding a file.
pub fn refusal(decoder: &Decoder, path: &Path, options: &VideoOptions) -> DecodeError {
    match decoder.open(path, options) {
        Err(error) => error,
        Ok(decoding) => cause(decoding.filter_map(Result::err).next().expect("an error")),
    }
}

/// State letter and parent of a process; `None` if there is no such process.
pub fn state(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Processes that this one has started, ended but not reaped ones included.
pub fn children() -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|number| state(*number).is_some_and(|(_, parent)| parent == std::process::id())).collect()
}

/// Waits until something is so.
pub fn soon(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what} takes too long");
        thread::sleep(Duration::from_millis(2));
    }
}
