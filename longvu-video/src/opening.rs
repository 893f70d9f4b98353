//! Opening a file as a container, and what is said when that fails.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::{Dictionary, Stream, media};
use ffmpeg_next as ffmpeg;

use crate::headers::Headers;
use crate::limits::SNIFF_BYTES;
use crate::sniff::{self, Guess};
use crate::{Error, Limits, MAX_PIXELS, Result, codecs, containers, ffi, formats};

/// Bytes read at once.
const BUFFER_SIZE: usize = 128 * 1024;

/// The reader's own latest error. FFmpeg reports some faults of a file's content with the numbers of system errors, so only
/// this tells a bad disk from a bad video.
#[derive(Clone, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn note<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        if let Err(error) = &result
            && error.kind() != std::io::ErrorKind::Interrupted
            && let Ok(mut latest) = self.0.lock()
        {
            *latest = Some(error.to_string());
        }
        result
    }

    /// What it was.
    pub fn get(&self) -> Option<String> {
        self.0.lock().ok().and_then(|latest| latest.clone())
    }
}

/// A reader that notes its errors.
struct Watched<R> {
    reader: R,
    failure: Failure,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.failure.note(self.reader.read(buffer))
    }
}

impl<R: Seek> Seek for Watched<R> {
    // A seek that fails is a question answered (demuxers try places that do not exist), not a bad disk.
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.reader.seek(position)
    }
}

/// Whether the first bytes are a JPEG's; the reader is then at its start again.
fn starts_as_jpeg<R: Read + Seek>(reader: &mut R) -> bool {
    let mut head = [0; 3];
    let read = reader.read_exact(&mut head);
    let rewound = reader.seek(SeekFrom::Start(0));
    read.is_ok() && rewound.is_ok() && head == [0xff, 0xd8, 0xff]
}

/// Opens a container.
///
/// FFmpeg gets bytes rather than a path: a path would be taken for a URL if it has a colon, must be UTF-8, and its
/// extension could turn a text file into a "video" of ANSI art.
pub(crate) fn open_input<R: Read + Seek + Send + 'static>(
    mut reader: R,
    path: &Path,
    limits: &Limits,
    failure: &Failure,
) -> Result<Input> {
    ffi::silence();
    // Of pictures of some kilobytes FFmpeg sees one only, and takes it for a still.
    let format = starts_as_jpeg(&mut reader).then_some(c"mjpeg");
    let refused = |error: ffmpeg::Error| match failure.get() {
        Some(reason) => Error::Read { path: path.to_owned(), packets: 0, reason },
        None => Error::NotAVideo { path: path.to_owned(), reason: error.to_string() },
    };
    let watched = Watched { reader, failure: failure.clone() };
    let io = StreamIo::from_read_seek_with_capacity(watched, BUFFER_SIZE).map_err(refused)?;
    let mut settings = Dictionary::new();
    // No other file, device or place is opened, whatever this one says.
    settings.set("protocol_whitelist", "none");
    settings.set("format_whitelist", &containers::allowed());
    settings.set("codec_whitelist", codecs::allowed());
    let accept = |input: &Input| {
        let is_video = |stream: &Stream<'_>| stream.parameters().medium() == media::Type::Video;
        let mut videos = input.streams().filter(|stream| is_video(stream) && !ffi::is_attached(stream));
        videos.try_for_each(|stream| limits.check_picture(path, ffi::picture_size(&stream.parameters())))
    };
    // A lower limit is told apart from damage once the size is known.
    ffi::open_input(io, format, settings, limits.pixels.max(MAX_PIXELS), accept, refused)
}

/// A better word on a file that FFmpeg refused, or was not let have, from its first bytes.
pub(crate) fn explain(error: Error, headers: &Headers) -> Error {
    let Error::NotAVideo { path, reason } = error else { return error };
    if headers.lacks_index() {
        return Error::NoIndex { path };
    }
    if headers.still().is_some() {
        return Error::Heif { path, kind: "an AVIF picture of an unusual kind" };
    }
    let mut head = Vec::new();
    // What could be read before an error is looked at like a file that ends there.
    let _ = open_file(&path).map(|file| file.take(SNIFF_BYTES).read_to_end(&mut head));
    match sniff::guess(&head) {
        Guess::Playlist(kind) => Error::Playlist { path, kind },
        Guess::Encrypted => Error::Encrypted { path },
        Guess::NotAVideo(reason) => Error::NotAVideo { path, reason: reason.to_owned() },
        Guess::Unknown => match ffi::format_of(&head) {
            // FFmpeg knows it, and it is not on the list of what is read.
            Some(name) if !containers::is_allowed(&name) => match formats::refused_demuxer(&name) {
                Some(format) => {
                    let format = format!("the picture format {format}");
                    Error::UnsupportedFormat { path, format, advice: formats::CONVERT }
                }
                None => Error::NotAVideo { path, reason: format!("its format, {name}, is none of video or pictures") },
            },
            _ => match formats::refused_by_extension(&path) {
                Some(format) => Error::UnsupportedFormat { path, format: format.name.into(), advice: format.note },
                None => Error::NotAVideo { path, reason },
            },
        },
    }
}

/// Opens a regular, non-empty file, with an error that says which of that failed.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let io_error = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound { path: path.to_owned() },
        _ => Error::Io { path: path.to_owned(), source },
    };
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    if metadata.len() == 0 {
        return Err(Error::EmptyFile { path: path.to_owned() });
    }
    File::open(path).map_err(io_error)
}
