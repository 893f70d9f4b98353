//! From the packets of a video stream to its pictures, one at a time.

use ffmpeg::{codec, frame};
use ffmpeg_next as ffmpeg;

use crate::demuxer::Demuxer;
use crate::{Error, Result, ffi};

/// A decoder with its source of packets; holds one picture and FFmpeg's reference frames.
pub(crate) struct Decoder {
    demuxer: Demuxer,
    decoder: codec::decoder::Video,
    /// The latest picture.
    pub picture: frame::Video,
    packets_left: usize,
    draining: bool,
    /// Pictures that came out.
    pub decoded: usize,
    /// Packets that the decoder refused.
    pub damaged_packets: usize,
    /// Pictures that came out with errors in them.
    pub damaged_frames: usize,
}

impl Decoder {
    /// Opens the codec of the demuxer's stream, to be fed its first `packets` packets, on all cores.
    pub fn new(demuxer: Demuxer, packets: usize) -> Result<Self> {
        let no_frames = || Error::NoFrames { path: demuxer.path().to_owned() };
        let parameters = demuxer.input.stream(demuxer.stream).ok_or_else(no_frames)?.parameters();
        let codec = parameters.id();
        let unsupported = |error: ffmpeg::Error| Error::UnsupportedCodec {
            path: demuxer.path().to_owned(),
            codec: codec.name().to_owned(),
            reason: error.to_string(),
        };
        let mut context = codec::Context::from_parameters(parameters).map_err(unsupported)?;
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(16));
        ffi::configure(&mut context, threads);
        let decoder = context.decoder().video().map_err(unsupported)?;
        Ok(Self {
            demuxer,
            decoder,
            picture: frame::Video::empty(),
            packets_left: packets,
            draining: false,
            decoded: 0,
            damaged_packets: 0,
            damaged_frames: 0,
        })
    }

    /// Decodes the next picture in display order into [`picture`](Self::picture); false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        loop {
            match self.decoder.receive_frame(&mut self.picture) {
                Ok(()) => {
                    self.decoded += 1;
                    if self.picture.is_corrupt() || self.picture.has_decode_errors() {
                        self.damaged_frames += 1;
                    }
                    return Ok(true);
                }
                Err(ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) if !self.draining => self.feed()?,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => return Ok(false),
                Err(error) => self.note_damage(error)?,
            }
        }
    }

    /// Hands the decoder one packet, or the end of the stream so that it gives up the pictures it holds back.
    fn feed(&mut self) -> Result<()> {
        let packet = if self.packets_left > 0 { self.demuxer.next_packet()? } else { None };
        let sent = match packet {
            Some(packet) => {
                self.packets_left -= 1;
                self.decoder.send_packet(&packet)
            }
            None => {
                self.draining = true;
                self.decoder.send_eof()
            }
        };
        sent.or_else(|error| self.note_damage(error))
    }

    /// Counts a refused packet. Running out of memory, or errors without end, are not damage to step over.
    fn note_damage(&mut self, error: ffmpeg::Error) -> Result<()> {
        self.damaged_packets += 1;
        tracing::debug!(path = %self.demuxer.path().display(), %error, "a packet cannot be decoded");
        let out_of_memory = error == ffmpeg::Error::Other { errno: ffmpeg::error::ENOMEM };
        let endless = self.draining && self.damaged_packets > self.decoded + 100_000;
        if out_of_memory || endless {
            return Err(Error::Decode {
                path: self.demuxer.path().to_owned(),
                frames: self.decoded,
                reason: error.to_string(),
            });
        }
        Ok(())
    }
}
