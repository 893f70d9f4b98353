//! What a video file is.

use std::path::PathBuf;

/// What [`Video::info`](crate::Video::info) knows of a file before any frame is decoded.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct VideoInfo {
    /// The file.
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
