//! From a file to the packets of its video stream.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Dictionary, Packet, media};
use ffmpeg_next as ffmpeg;

use crate::{Error, Result, ffi, sniff};

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
}

impl Demuxer {
    /// Opens a file and chooses its main video stream.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_file(path)?;
        Self::from_reader(file, path).map_err(|error| match error {
            Error::NotAVideo { path, .. } if lacks_index(&path) => Error::NoIndex { path },
            other => other,
        })
    }

    /// The same for any reader; `path` only names it in messages.
    ///
    /// FFmpeg gets bytes rather than a path: a path would be taken for a URL if it has a colon, must be UTF-8, and its
    /// extension could turn a text file into a "video" of ANSI art.
    pub fn from_reader<R: Read + Seek + Send + 'static>(reader: R, path: &Path) -> Result<Self> {
        ffi::silence();
        let refused = |error: ffmpeg::Error| match error {
            ffmpeg::Error::Other { .. } => Error::Read {
                path: path.to_owned(),
                packets: 0,
                reason: error.to_string(),
            },
            error => Error::NotAVideo {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        };
        let io = StreamIo::from_read_seek_with_capacity(reader, BUFFER_SIZE).map_err(refused)?;
        let mut settings = Dictionary::new();
        // A playlist must not make us open other places.
        settings.set("protocol_whitelist", "file");
        let mut input =
            ffmpeg::format::input_from_stream(io, None, Some(settings)).map_err(refused)?;
        if input.format().name() == "tty" {
            return Err(Error::NotAVideo {
                path: path.to_owned(),
                reason: "it is text".into(),
            });
        }

        let video = input.streams().best(media::Type::Video);
        let stream =
            video.filter(|stream| !stream.disposition().contains(Disposition::ATTACHED_PIC));
        let Some(stream) = stream.map(|stream| stream.index()) else {
            let has_audio = has_audio(&input);
            return Err(Error::NoVideoStream {
                path: path.to_owned(),
                has_audio,
            });
        };
        ffi::keep_only_stream(&mut input, stream);
        Ok(Self {
            input,
            stream,
            path: path.to_owned(),
            packets: 0,
            damaged: false,
        })
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
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::Other {
                    errno: ffmpeg::error::EAGAIN,
                }) if invalid < MAX_INVALID_READS => invalid += 1,
                Err(error @ (ffmpeg::Error::Other { .. } | ffmpeg::Error::Exit)) => {
                    return Err(Error::Read {
                        path: self.path.clone(),
                        packets: self.packets,
                        reason: error.to_string(),
                    });
                }
                Err(_) => {
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
    input
        .streams()
        .any(|stream| stream.parameters().medium() == media::Type::Audio)
}

/// Opens a regular, non-empty file, with an error that says which of that failed.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let io_error = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => Error::NotFound {
            path: path.to_owned(),
        },
        _ => Error::Io {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_owned(),
        });
    }
    if metadata.len() == 0 {
        return Err(Error::EmptyFile {
            path: path.to_owned(),
        });
    }
    File::open(path).map_err(io_error)
}
