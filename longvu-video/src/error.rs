//! What can go wrong.

use std::path::PathBuf;

use crate::ErrorKind;

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a video or an image could not be read.
///
/// Every message says what happened, to which file, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path leads nowhere.
    #[error("{}: no such file; check the path", path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },

    /// The path is a directory, a pipe or a device.
    #[error("{}: not a regular file; name a video or image file (a pipe must be saved first)", path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
    },

    /// The operating system refused to open or read the file.
    #[error("{}: cannot be opened; check its permissions", path.display())]
    Io {
        /// The path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// The file has no bytes.
    #[error("{}: the file is empty; copy or download it again", path.display())]
    EmptyFile {
        /// The path as given.
        path: PathBuf,
    },

    /// FFmpeg knows no container that looks like this file.
    #[error("{}: not a video FFmpeg can read ({reason}); check that it plays elsewhere", path.display())]
    NotAVideo {
        /// The path as given.
        path: PathBuf,
        /// FFmpeg's reason.
        reason: String,
    },

    /// An MP4 or QuickTime file without its index (the `moov` box).
    #[error("{}: the MP4 index (moov box) is missing, so no frame can be found; the recording or download was cut short: fetch it again or repair it from a similar file", path.display())]
    NoIndex {
        /// The path as given.
        path: PathBuf,
    },

    /// A playlist, manifest, script or link: a text that names videos, and is none itself.
    #[error("{}: {kind}, not a video; the files that it names are not opened: name the video itself", path.display())]
    Playlist {
        /// The path as given.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },

    /// The container is here, and its pictures lie in another file.
    #[error("{}: its pictures lie in another file, which is not opened; export it as a file of its own", path.display())]
    External {
        /// The path as given.
        path: PathBuf,
    },

    /// The pictures are encrypted (DRM).
    #[error("{}: the video is encrypted; decrypt it first, or use a copy without protection", path.display())]
    Encrypted {
        /// The path as given.
        path: PathBuf,
    },

    /// A picture file of the HEIF family that is not read.
    #[error("{}: {kind}, which is not read; convert it to JPEG or PNG first", path.display())]
    Heif {
        /// The path as given.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },

    /// The file holds sound or subtitles only. Cover art does not count.
    #[error("{}: there is no video stream in this file{}; give a file with pictures", path.display(), if *.has_audio { " (only audio)" } else { "" })]
    NoVideoStream {
        /// The path as given.
        path: PathBuf,
        /// Whether the file has sound.
        has_audio: bool,
    },

    /// The installed FFmpeg has no decoder for this codec, or the decoder refuses the stream.
    #[error("{}: cannot decode codec {codec}: {reason}; install an FFmpeg with this decoder or convert the file", path.display())]
    UnsupportedCodec {
        /// The path as given.
        path: PathBuf,
        /// FFmpeg's name of the codec.
        codec: String,
        /// FFmpeg's reason.
        reason: String,
    },

    /// There is a video stream, but not one frame could be decoded.
    #[error("{}: the video stream has no frame that can be decoded; the file is cut short or damaged, or its pictures are over the limits: fetch it again or scale it down", path.display())]
    NoFrames {
        /// The path as given.
        path: PathBuf,
    },

    /// A picture of too many pixels; see [`Limits::pixels`](crate::Limits::pixels).
    #[error("{}: pictures of {width}x{height} are over the limit of {limit} pixels; scale the file down first", path.display())]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels allowed.
        limit: u64,
    },

    /// A picture with too long a side; see [`Limits::side`](crate::Limits::side).
    #[error("{}: a side of the {width}x{height} pictures is over the limit of {limit} pixels; cut or scale the file down first", path.display())]
    SideTooLong {
        /// The path as given.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pixels allowed a side.
        limit: u32,
    },

    /// An animation of too many pixels in all; see [`Limits::animation_pixels`](crate::Limits::animation_pixels).
    #[error("{}: {pictures} pictures of {width}x{height} are over the limit of {limit} pixels for a whole animation; scale it down, cut it or convert it to a video first", path.display())]
    AnimationTooLarge {
        /// The path as given.
        path: PathBuf,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Pictures in the file.
        pictures: usize,
        /// Pixels allowed, of all pictures together.
        limit: u64,
    },

    /// A file that would be read as a whole and is too large for it; see [`Limits::jpeg_bytes`](crate::Limits::jpeg_bytes).
    #[error("{}: a JPEG of {bytes} bytes is over the limit of {limit}; scale it down or save it with a lower quality first", path.display())]
    FileTooLarge {
        /// The path as given.
        path: PathBuf,
        /// Bytes of the file.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },

    /// A format that is known and not read; see [`formats`](crate::formats()).
    #[error("{}: {format} is not read; {advice}", path.display())]
    UnsupportedFormat {
        /// The path as given.
        path: PathBuf,
        /// The format's name.
        format: String,
        /// What to do instead.
        advice: &'static str,
    },

    /// An animated PNG or WebP whose first picture cannot be decoded.
    #[error("{}: cannot be read as an animation: {reason}; fetch or make the file again, or convert it to a video", path.display())]
    Animation {
        /// The path as given.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },

    /// A setting that makes no sense whatever the video.
    #[error("{option} is {value}, but must be {expected}")]
    InvalidOption {
        /// Which setting.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },

    /// The asked-for times contain no frame of this video.
    #[error("{}: no frame lies in {range}; the video lasts {duration:.3} s", path.display())]
    OutOfRange {
        /// The path as given.
        path: PathBuf,
        /// What was asked for.
        range: String,
        /// Length of the video in seconds.
        duration: f64,
    },

    /// Reading broke off with an error of the file system, not of the video.
    #[error("{}: reading failed after {packets} packets: {reason}; check the disk or network and try again", path.display())]
    Read {
        /// The path as given.
        path: PathBuf,
        /// Video packets read before.
        packets: usize,
        /// The system's reason.
        reason: String,
    },

    /// Decoding cannot go on.
    #[error("{}: decoding stopped after {frames} frames: {reason}", path.display())]
    Decode {
        /// The path as given.
        path: PathBuf,
        /// Frames decoded before.
        frames: usize,
        /// FFmpeg's reason.
        reason: String,
    },

    /// A decoded frame could not be turned into RGB.
    #[error("{}: frame {index} ({format}, {width}x{height}) cannot be converted to RGB; convert the file to a common pixel format such as yuv420p", path.display())]
    Convert {
        /// The path as given.
        path: PathBuf,
        /// The frame's index in the video.
        index: usize,
        /// FFmpeg's name of the pixel format.
        format: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },

    /// An image file that the `image` crate cannot read.
    #[error("{}: cannot be read as an image; fetch the file again if it should be one, or give a PNG, JPEG, WebP, GIF or BMP file", path.display())]
    Image {
        /// The path as given.
        path: PathBuf,
        /// The decoder's reason.
        source: image::ImageError,
    },

    /// A frame made by the caller whose bytes do not fit its size.
    #[error(
        "a {width}x{height} RGB frame needs a positive size and {expected} bytes, but got {got}; pass [height, width, 3] bytes"
    )]
    FrameSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes the size asks for.
        expected: u64,
        /// Bytes given.
        got: usize,
    },
}

impl Error {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Io { source, .. } => source.kind().into(),
            Self::Image { source: image::ImageError::Limits(_), .. }
            | Self::TooLarge { .. }
            | Self::SideTooLong { .. }
            | Self::AnimationTooLarge { .. }
            | Self::FileTooLarge { .. } => ErrorKind::DoesNotFit,
            Self::Read { .. } => ErrorKind::Internal,
            Self::NotAFile { .. }
            | Self::EmptyFile { .. }
            | Self::NotAVideo { .. }
            | Self::NoIndex { .. }
            | Self::Playlist { .. }
            | Self::External { .. }
            | Self::Encrypted { .. }
            | Self::Heif { .. }
            | Self::NoVideoStream { .. }
            | Self::UnsupportedCodec { .. }
            | Self::NoFrames { .. }
            | Self::UnsupportedFormat { .. }
            | Self::Animation { .. }
            | Self::InvalidOption { .. }
            | Self::OutOfRange { .. }
            | Self::Decode { .. }
            | Self::Convert { .. }
            | Self::Image { .. }
            | Self::FrameSize { .. } => ErrorKind::BadInput,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn every_error_has_its_kind() {
        let (path, reason) = (|| PathBuf::from("a"), || "because".to_owned());
        let io = |kind: io::ErrorKind| Error::Io { path: path(), source: kind.into() };
        let image = |source: image::ImageError| Error::Image { path: path(), source };
        let limits = image::error::LimitError::from_kind(image::error::LimitErrorKind::InsufficientMemory);
        for (error, kind) in [
            (Error::NotFound { path: path() }, ErrorKind::NotFound),
            (Error::NotAFile { path: path() }, ErrorKind::BadInput),
            (io(io::ErrorKind::NotFound), ErrorKind::NotFound),
            (io(io::ErrorKind::PermissionDenied), ErrorKind::BadInput),
            (io(io::ErrorKind::Other), ErrorKind::Internal),
            (image(image::ImageError::Limits(limits)), ErrorKind::DoesNotFit),
            (image(image::ImageError::IoError(io::ErrorKind::UnexpectedEof.into())), ErrorKind::BadInput),
            (Error::TooLarge { path: path(), width: 9, height: 9, limit: 80 }, ErrorKind::DoesNotFit),
            (Error::SideTooLong { path: path(), width: 9, height: 9, limit: 8 }, ErrorKind::DoesNotFit),
            (Error::FileTooLarge { path: path(), bytes: 9, limit: 8 }, ErrorKind::DoesNotFit),
            (Error::Read { path: path(), packets: 1, reason: reason() }, ErrorKind::Internal),
            (Error::Decode { path: path(), frames: 1, reason: reason() }, ErrorKind::BadInput),
            (Error::InvalidOption { option: "a", value: "1".into(), expected: "2" }, ErrorKind::BadInput),
        ] {
            assert_eq!(error.kind(), kind, "{error:?}");
        }
    }
}
