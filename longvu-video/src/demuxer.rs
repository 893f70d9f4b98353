//! From a file to the packets of its video stream.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Packet, media};
use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;

use crate::crop::Crop;
use crate::headers::Headers;
use crate::heif::Still;
use crate::limits::SNIFF_BYTES;
use crate::select::{self, Candidate};
use crate::sniff::{self, Guess};
use crate::{Error, Limits, MAX_PIXELS, Result, containers, ffi, formats, orientation};

/// Bytes read at once.
const BUFFER_SIZE: usize = 128 * 1024;

/// A demuxer gives up after this many unreadable packets in a row.
const MAX_INVALID_READS: usize = 1000;

/// Where a video ends, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// After its first frame.
    AfterFirst(f64),
    /// After the time 0 of the file's clock.
    AfterZero(f64),
}

/// An open container with one chosen video stream.
pub(crate) struct Demuxer {
    pub input: Input,
    pub stream: usize,
    /// Videos in the container.
    pub videos: usize,
    crop: Option<Crop>,
    still: Option<Still>,
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
    /// Opens a file and chooses its video stream; no picture over the limits is decoded on the way.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let mut file = open_file(path)?;
        let headers = Headers::read(&mut file);
        headers.check(path)?;
        let failure = Failure::default();
        let input = open_input(file, path, limits, &failure).map_err(|error| explain(error, &headers))?;
        let mut candidates = select::candidates(&input, &headers);
        if candidates.len() > 1 && candidates.iter().any(|candidate| candidate.packets.is_none()) {
            count_packets(path, limits, &mut candidates)?;
        }
        let mut demuxer = Self::choose(input, candidates, path, failure)?;
        demuxer.still = headers.still().cloned();
        Ok(demuxer)
    }

    /// Opens a file again, to read a stream that was chosen before.
    pub fn reopen(path: &Path, stream: usize, limits: &Limits) -> Result<Self> {
        let failure = Failure::default();
        let input = open_input(open_file(path)?, path, limits, &failure)?;
        let candidates = select::candidates(&input, &Headers::Other);
        let chosen = candidates.into_iter().filter(|candidate| candidate.stream == stream).collect();
        Self::choose(input, chosen, path, failure)
    }

    /// Opens any reader; `path` only names it in messages.
    #[cfg(test)]
    pub fn from_reader<R: Read + Seek + Send + 'static>(reader: R, path: &Path, limits: &Limits) -> Result<Self> {
        let failure = Failure::default();
        let input = open_input(reader, path, limits, &failure)?;
        let candidates = select::candidates(&input, &Headers::Other);
        Self::choose(input, candidates, path, failure)
    }

    fn choose(mut input: Input, candidates: Vec<Candidate>, path: &Path, failure: Failure) -> Result<Self> {
        let path = path.to_owned();
        let best = input.streams().best(media::Type::Video).map(|stream| stream.index());
        let Some((chosen, videos)) = select::choose(candidates, best) else {
            return Err(Error::NoVideoStream { path, has_audio: has_audio(&input) });
        };
        let Candidate { stream, track, .. } = chosen;
        let track = track.unwrap_or_default();
        if track.is_encrypted {
            return Err(Error::Encrypted { path });
        }
        if track.is_external {
            return Err(Error::External { path });
        }
        ffi::keep_only_stream(&mut input, stream);
        let crop = track.crop;
        Ok(Self { input, stream, videos, crop, still: None, path, packets: 0, damaged: false, failure })
    }

    /// The orientation that the container asks for; `None` if it is no multiple of a quarter turn.
    pub fn orientation(&self) -> Option<Orientation> {
        let otherwise = self.still.as_ref().map_or(Orientation::NoTransforms, |still| still.orientation);
        orientation::of_stream(&self.input.stream(self.stream)?, otherwise)
    }

    /// The part of the pictures that the container wants shown.
    pub fn crop(&self) -> Option<Crop> {
        self.still.as_ref().map_or(self.crop, |still| still.crop)
    }

    /// Width and height of a pixel of a still picture, if they differ.
    pub fn pixel_aspect(&self) -> Option<(u32, u32)> {
        self.still.as_ref()?.pixel_aspect
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

    /// Where the container's headers say that the video ends; empty if they do not.
    pub fn declared_ends(&self) -> Vec<End> {
        let mut ends = Vec::new();
        if !ffi::has_declared_duration(&self.input) {
            return ends;
        }
        if let Some(length) = self.declared_length() {
            ends.push(End::AfterFirst(length));
        }
        let units = self.input.duration();
        if units > 0 {
            let seconds = units as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE);
            ends.extend([End::AfterFirst(seconds), End::AfterZero(seconds)]);
        }
        // Matroska states the end of each stream as a text.
        let stream = self.input.stream(self.stream);
        let tag = stream.and_then(|stream| seconds(&ffi::tag(&stream, c"DURATION")?));
        ends.extend(tag.filter(|seconds| *seconds > 0.0).map(End::AfterZero));
        ends
    }

    /// The length in seconds that the container's headers give for the stream.
    pub fn declared_length(&self) -> Option<f64> {
        let stream = self.input.stream(self.stream)?;
        let length = stream.duration() as f64 * f64::from(stream.time_base());
        (length > 0.0 && length.is_finite() && ffi::has_declared_duration(&self.input)).then_some(length)
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

/// Opens a container.
///
/// FFmpeg gets bytes rather than a path: a path would be taken for a URL if it has a colon, must be UTF-8, and its
/// extension could turn a text file into a "video" of ANSI art.
fn open_input<R: Read + Seek + Send + 'static>(
    reader: R,
    path: &Path,
    limits: &Limits,
    failure: &Failure,
) -> Result<Input> {
    ffi::silence();
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
    let accept = |input: &Input| match input.streams().best(media::Type::Video) {
        Some(stream) if !stream.disposition().contains(Disposition::ATTACHED_PIC) => {
            limits.check_picture(path, ffi::picture_size(&stream.parameters()))
        }
        _ => Ok(()),
    };
    // A lower limit is told apart from damage once the size is known.
    ffi::open_input(io, settings, limits.pixels.max(MAX_PIXELS), accept, refused)
}

/// A better word on a file that FFmpeg refused, or was not let have, from its first bytes.
fn explain(error: Error, headers: &Headers) -> Error {
    let Error::NotAVideo { path, reason } = error else { return error };
    if headers.lacks_index() {
        return Error::NoIndex { path };
    }
    let mut head = Vec::new();
    // What could be read before an error is looked at like a file that ends there.
    let _ = File::open(&path).map(|file| file.take(SNIFF_BYTES).read_to_end(&mut head));
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

/// Reads `hours:minutes:seconds`.
fn seconds(text: &str) -> Option<f64> {
    text.trim().split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// Counts the packets of each candidate, by reading the whole file.
fn count_packets(path: &Path, limits: &Limits, candidates: &mut [Candidate]) -> Result<()> {
    let failure = Failure::default();
    let mut input = open_input(open_file(path)?, path, limits, &failure)?;
    let mut counts = vec![0_usize; candidates.len()];
    let mut invalid = 0;
    while invalid <= MAX_INVALID_READS {
        let mut packet = Packet::empty();
        match packet.read(&mut input) {
            Ok(()) => {
                let place = candidates.iter().position(|candidate| candidate.stream == packet.stream());
                if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                    *count += 1;
                }
            }
            Err(ffmpeg::Error::Eof) => break,
            Err(_) => invalid += 1,
        }
    }
    for (candidate, count) in candidates.iter_mut().zip(counts) {
        candidate.packets = Some(count);
    }
    Ok(())
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
    use crate::MAX_PIXELS;
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
