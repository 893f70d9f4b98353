//! Files to test with: the golden videos, and small ones made by the `ffmpeg` program.
#![allow(dead_code)]

pub mod boxes;

use std::path::{Path, PathBuf};
use std::process::Command;

use longvu_video::{DecodedFrame, Frames, Video, VideoOptions};

/// The folder of golden data: `LONGVU_GOLDEN_DIR`, or the workspace's.
pub fn golden_dir() -> PathBuf {
    std::env::var_os("LONGVU_GOLDEN_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), PathBuf::from)
}

/// A golden video by name.
pub fn golden_video(name: &str) -> PathBuf {
    golden_dir().join("videos").join(name)
}

/// A scratch folder that goes away with the value.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs `ffmpeg` with arguments split at spaces, the output file last.
pub fn ffmpeg(arguments: &str, output: &Path) -> PathBuf {
    let result = Command::new("ffmpeg")
        .args(["-nostdin", "-y", "-v", "error"])
        .args(arguments.split_whitespace())
        .arg(output)
        .output()
        .expect("these tests make their videos with the `ffmpeg` program: install it (`make deps`)");
    let message = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "ffmpeg {arguments} failed: {message}");
    output.to_owned()
}

/// Writes the first part of a file, `numerator / denominator` of it, to another.
pub fn cut(from: &Path, numerator: usize, denominator: usize, to: &Path) -> PathBuf {
    let bytes = std::fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    std::fs::write(to, &bytes[..bytes.len() * numerator / denominator]).expect("a written file");
    to.to_owned()
}

/// All sampled frames, and the iterator when it is done.
pub fn read_all(video: &Video) -> (Vec<DecodedFrame>, Frames) {
    let mut frames = video.frames().expect("decoding starts");
    let read = frames.by_ref().map(|frame| frame.expect("a frame")).collect();
    (read, frames)
}

/// Every frame of a file.
pub fn every() -> VideoOptions {
    VideoOptions::default().with_sampling(longvu_video::Sampling::Every(1))
}

/// Mean of each channel.
pub fn mean_rgb(frame: &DecodedFrame) -> [f64; 3] {
    let mut sums = [0_u64; 3];
    for pixel in frame.rgb.chunks_exact(3) {
        for (sum, level) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(*level);
        }
    }
    sums.map(|sum| sum as f64 / (frame.rgb.len() / 3) as f64)
}

/// The most memory that this process has had, in bytes, whether it was touched or not; 0 where the system does not tell.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// A file of the folder `tests/pictures`.
pub fn picture_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

/// Writes a GIF whose pictures are single pixels, shown for the given hundredths of a second, on a canvas of `size`.
pub fn write_gif(path: &Path, size: (u16, u16), delays: &[u16]) {
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend([size.0.to_le_bytes(), size.1.to_le_bytes()].concat());
    bytes.extend([0x80, 0, 0, 255, 0, 0, 0, 0, 255]);
    for (number, delay) in delays.iter().enumerate() {
        bytes.extend([0x21, 0xf9, 4, 0]);
        bytes.extend(delay.to_le_bytes());
        bytes.extend([0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0]);
        // Clear, one pixel of colour 0 or 1, end, as codes of three bits.
        bytes.extend([2, 2, if number % 2 == 0 { 0x44 } else { 0x4c }, 0x01, 0]);
    }
    bytes.push(0x3b);
    std::fs::write(path, bytes).expect("a written file");
}
