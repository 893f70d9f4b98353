//! What a video file is.

use std::path::{Path, PathBuf};

/// What [`Video::info`](crate::Video::info) knows of a file before any frame is decoded.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct VideoInfo {
    /// The file; as text, what is no UTF-8 is written out ([`path_text`]).
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// FFmpeg's name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// FFmpeg's name of the codec, such as `h264`.
    pub codec: String,
    /// Width of the frames in pixels, after rotation. Pixels are taken as square.
    pub width: u32,
    /// Height of the frames in pixels, after rotation.
    pub height: u32,
    /// Frames in the file, counted, not as declared.
    pub frame_count: usize,
    /// Frames a second on average, as the container gives it, or counted where it gives none or a wrong one; 0 if unknown.
    pub average_fps: f64,
    /// Seconds from the first frame to the end of the last.
    pub duration: f64,
    /// Degrees clockwise by which the stored pictures must be turned: 0, 90, 180 or 270. Applied to the frames unless
    /// [`autorotate`](crate::VideoOptions::autorotate) is off.
    pub rotation: u32,
    /// Whether the turned picture must also be mirrored left to right.
    pub mirrored: bool,
    /// Whether the file has sound.
    pub has_audio: bool,
}

/// A path as text that tells paths apart: bytes that are no UTF-8 as `\xff`, and a backslash as two where there are such.
pub fn path_text(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let invalid: String = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect();
        chunk.valid().replace('\\', "\\\\") + &invalid
    };
    bytes.utf8_chunks().map(chunk).collect()
}

fn serialize_path<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path_text(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn paths_that_are_no_text_can_be_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let text = |bytes| path_text(Path::new(std::ffi::OsStr::from_bytes(bytes)));
        assert_eq!(text("größerer\\clip.mp4".as_bytes()), "größerer\\clip.mp4");
        assert_eq!(text(b"a\xff\xfe b.mp4"), "a\\xff\\xfe b.mp4");
        assert_eq!(text(b"a\\xff\xff.mp4"), "a\\\\xff\\xff.mp4");
    }
}
