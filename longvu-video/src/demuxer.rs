//! From a file to the packets of its video stream.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Packet, media};
use ffmpeg_next as ffmpeg;

use crate::{Error, Limits, MAX_PIXELS, Result, ffi, formats, sniff};

/// Bytes read at once.
const BUFFER_SIZE: usize = 128 * 1024;

/// A demuxer gives up after this many unreadable packets in a row.
const MAX_INVALID_READS: usize = 1000;

/// An open container with one chosen video stream.
pub(crate) struct Demuxer {
    pub input: Input,
    pub stream: usize,
    path: PathBuf,
    packets: usize,
    damaged: bool,
    failure: Failure,
}

/// The reader's own latest error. FFmpeg reports some faults of a file's content with the numbers of system errors, so only
/// this tells a bad disk from a bad video.
#[derive(Clone, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

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

    fn get(&self) -> Option<String> {
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

impl Demuxer {
    /// Opens a file and chooses its main video stream.
    ///
    /// No picture over the limits is decoded on the way.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let file = open_file(path)?;
        Self::from_reader(file, path, limits).map_err(|error| match error {
            Error::NotAVideo { path, .. } if lacks_index(&path) => Error::NoIndex { path },
            Error::NotAVideo { path, reason } => match formats::refused_by_extension(&path) {
                Some(format) => Error::UnsupportedFormat { path, format: format.name.into(), advice: format.note },
                None => Error::NotAVideo { path, reason },
            },
            other => other,
        })
    }

    /// The same for any reader; `path` only names it in messages.
    ///
    /// FFmpeg gets bytes rather than a path: a path would be taken for a URL if it has a colon, must be UTF-8, and its
    /// extension could turn a text file into a "video" of ANSI art.
    pub fn from_reader<R: Read + Seek + Send + 'static>(reader: R, path: &Path, limits: &Limits) -> Result<Self> {
        ffi::silence();
        let failure = Failure::default();
        let refused = |error: ffmpeg::Error| match failure.get() {
            Some(reason) => Error::Read { path: path.to_owned(), packets: 0, reason },
            None => Error::NotAVideo { path: path.to_owned(), reason: error.to_string() },
        };
        let watched = Watched { reader, failure: failure.clone() };
        let io = StreamIo::from_read_seek_with_capacity(watched, BUFFER_SIZE).map_err(refused)?;
        let mut settings = Dictionary::new();
        // A playlist must not make us open other places.
        settings.set("protocol_whitelist", "file");
        let accept = |input: &Input| match formats::refused_demuxer(input.format().name()) {
            _ if input.format().name() == "tty" => {
                Err(Error::NotAVideo { path: path.to_owned(), reason: "it is text".into() })
            }
            Some(format) => {
                let (path, format) = (path.to_owned(), format!("the picture format {format}"));
                Err(Error::UnsupportedFormat { path, format, advice: formats::CONVERT })
            }
            None => match input.streams().best(media::Type::Video) {
                Some(stream) if !stream.disposition().contains(Disposition::ATTACHED_PIC) => {
                    limits.check_picture(path, ffi::picture_size(&stream.parameters()))
                }
                _ => Ok(()),
            },
        };
        // A lower limit is told apart from damage once the size is known.
        let max_pixels = limits.pixels.max(MAX_PIXELS);
        let mut input = ffi::open_input(io, settings, max_pixels, accept, refused)?;

        let video = input.streams().best(media::Type::Video);
        let stream = video.filter(|stream| !stream.disposition().contains(Disposition::ATTACHED_PIC));
        let Some(stream) = stream.map(|stream| stream.index()) else {
            let has_audio = has_audio(&input);
            return Err(Error::NoVideoStream { path: path.to_owned(), has_audio });
        };
        ffi::keep_only_stream(&mut input, stream);
        Ok(Self { input, stream, path: path.to_owned(), packets: 0, damaged: false, failure })
    }

    /// The next packet of the video stream, or `None` at the end.
    ///
    /// Data that cannot be parsed is skipped and remembered in [`damaged`](Self::damaged); an error of the file system is
    /// an error here.
    pub fn next_packet(&mut self) -> Result<Option<Packet>> {
        let mut invalid = 0;
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                // An empty packet would tell the decoder that the stream is over.
                Ok(()) if packet.stream() == self.stream && packet.size() > 0 => {
                    self.packets += 1;
                    return Ok(Some(packet));
                }
                Ok(()) => {}
                Err(error) => {
                    if let Some(reason) = self.failure.get() {
                        let (path, packets) = (self.path.clone(), self.packets);
                        return Err(Error::Read { path, packets, reason });
                    }
                    if error == ffmpeg::Error::Eof {
                        return Ok(None);
                    }
                    self.damaged = true;
                    invalid += 1;
                    if invalid > MAX_INVALID_READS {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether some of what was read so far could not be parsed.
    pub fn damaged(&self) -> bool {
        self.damaged
    }

    /// The length in seconds that the container's headers give.
    pub fn declared_duration(&self) -> Option<f64> {
        let units = self.input.duration();
        (units > 0).then(|| units as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE))
    }

    /// The file's name in messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the container has sound.
    pub fn has_audio(&self) -> bool {
        has_audio(&self.input)
    }
}

fn lacks_index(path: &Path) -> bool {
    File::open(path).is_ok_and(|mut file| sniff::is_mp4_without_index(&mut file))
}

fn has_audio(input: &Input) -> bool {
    input.streams().any(|stream| stream.parameters().medium() == media::Type::Audio)
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::decoder::Decoder;

    /// A file on a disk that cannot be read past some byte.
    struct BadDisk {
        file: Cursor<Vec<u8>>,
        good: Arc<AtomicU64>,
    }

    impl Read for BadDisk {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let left = self.good.load(Ordering::Relaxed).saturating_sub(self.file.position());
            if left == 0 {
                return Err(std::io::Error::other("bad sector"));
            }
            let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.file.read(&mut buffer[..wanted])
        }
    }

    impl Seek for BadDisk {
        fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
            self.file.seek(position)
        }
    }

    /// The golden transport stream on a disk that is good up to the returned place.
    fn disk(good: u64) -> (BadDisk, Arc<AtomicU64>) {
        let folder = std::env::var_os("LONGVU_GOLDEN_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), PathBuf::from);
        let bytes = std::fs::read(folder.join("videos/mpeg2.ts")).expect("the golden videos");
        let good = Arc::new(AtomicU64::new(good));
        let disk = BadDisk { file: Cursor::new(bytes), good: Arc::clone(&good) };
        (disk, good)
    }

    #[test]
    fn a_failing_read_while_opening_or_scanning_is_an_error() {
        for good in [0, 100, 200_000, 300_000] {
            let opened = Demuxer::from_reader(disk(good).0, Path::new("a.ts"), &Limits::default());
            let error = opened.and_then(|mut demuxer| crate::scan::Scan::run(&mut demuxer).map(|_| ())).unwrap_err();
            assert!(matches!(&error, Error::Read { reason, .. } if reason.contains("bad sector")), "{good}: {error}");
        }
    }

    #[test]
    fn frames_before_a_failing_read_still_come() {
        let (disk, good) = disk(u64::MAX);
        let demuxer = Demuxer::from_reader(disk, Path::new("a.ts"), &Limits::default()).unwrap();
        good.store(300_000, Ordering::Relaxed);
        let mut decoder = Decoder::new(demuxer, crate::feed::Feed::First(usize::MAX), MAX_PIXELS).unwrap();
        let error = loop {
            match decoder.advance() {
                Ok(more) => assert!(more, "the end, instead of an error"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, Error::Read { reason, .. } if reason.contains("bad sector")), "{error}");
        assert!((100..300).contains(&decoder.decoded), "{}", decoder.decoded);
    }
}
