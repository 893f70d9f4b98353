//! From a file to the packets of its video stream.

use std::path::{Path, PathBuf};

use ffmpeg::format::context::Input;
use ffmpeg::{Packet, media};
use ffmpeg_next as ffmpeg;
use image::metadata::Orientation;

use crate::crop::Crop;
use crate::headers::Headers;
use crate::heif::Still;
use crate::limits::MAX_INVALID_READS;
use crate::opening::{Failure, explain, open_file, open_input};
use crate::select::{self, Candidate};
use crate::{Error, Limits, Result, codecs, ffi, orientation};

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
    pub fn from_reader<R: std::io::Read + std::io::Seek + Send + 'static>(
        reader: R,
        path: &Path,
        limits: &Limits,
    ) -> Result<Self> {
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
        if let Some(stream) = input.stream(stream) {
            codecs::check(&path, stream.parameters().id())?;
        }
        ffi::keep_only_stream(&mut input, stream);
        let crop = track.crop;
        Ok(Self { input, stream, videos, crop, still: None, path, packets: 0, damaged: false, failure })
    }

    /// Whether the file is a still picture in a container of items.
    pub fn is_still(&self) -> bool {
        self.still.is_some()
    }

    /// The orientation that the container asks for; `None` if it is no multiple of a quarter turn.
    pub fn orientation(&self) -> Option<Orientation> {
        // Of a still picture's items FFmpeg 9 makes a matrix, too, in which turns and mirrors are in another order than theirs.
        match &self.still {
            Some(still) => Some(still.orientation),
            None => orientation::of_stream(&self.input.stream(self.stream)?),
        }
    }

    /// The part of the pictures that the container wants shown.
    pub fn crop(&self) -> Option<Crop> {
        self.still.as_ref().map_or(self.crop, |still| still.crop)
    }

    /// Width and height of a pixel, if they differ by more than rounding.
    pub fn pixel_aspect(&self) -> Option<(u32, u32)> {
        let of_item = self.still.as_ref().and_then(|still| still.pixel_aspect);
        let (width, height) = of_item.or_else(|| ffi::pixel_aspect(&self.input, self.stream))?;
        let (across, down) = (u64::from(width), u64::from(height));
        (across.abs_diff(down) * 100 > across.max(down)).then_some((width, height))
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

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Seek, SeekFrom};
    use std::sync::Arc;
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
