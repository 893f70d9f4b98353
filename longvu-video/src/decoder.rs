//! From the packets of a video stream to its pictures, one at a time.

use ffmpeg::{Packet, codec, frame};
use ffmpeg_next as ffmpeg;

use crate::demuxer::Demuxer;
use crate::feed::{Action, Feed};
use crate::{Error, Result, ffi};

/// A decoder with its source of packets; holds one picture and FFmpeg's reference frames.
pub(crate) struct Decoder {
    demuxer: Demuxer,
    decoder: codec::decoder::Video,
    /// The latest picture.
    pub picture: frame::Video,
    feed: Feed,
    /// Packets read.
    read: usize,
    /// A packet to go on with once the decoder is empty and flushed.
    waiting: Option<Packet>,
    draining: bool,
    /// Pictures that came out.
    pub decoded: usize,
    /// Packets that the decoder refused.
    pub damaged_packets: usize,
    /// Pictures that came out with errors in them.
    pub damaged_frames: usize,
}

impl Decoder {
    /// Opens the codec of the demuxer's stream, to be fed the chosen packets, on all cores; pictures of more than
    /// `max_pixels` are refused.
    pub fn new(demuxer: Demuxer, feed: Feed, max_pixels: u64) -> Result<Self> {
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
        let strict = matches!(feed, Feed::Chosen(_));
        ffi::configure(&mut context, threads, strict, max_pixels);
        let decoder = context.decoder().video().map_err(unsupported)?;
        Ok(Self {
            demuxer,
            decoder,
            picture: frame::Video::empty(),
            feed,
            read: 0,
            waiting: None,
            draining: false,
            decoded: 0,
            damaged_packets: 0,
            damaged_frames: 0,
        })
    }

    /// Whether packets are left out.
    pub fn is_sparse(&self) -> bool {
        matches!(self.feed, Feed::Chosen(_))
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
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: ffmpeg::error::EAGAIN }) => {
                    let Some(packet) = self.waiting.take() else { return Ok(false) };
                    self.decoder.flush();
                    self.draining = false;
                    self.decoder.send_packet(&packet).or_else(|error| self.note_damage(error))?;
                }
                Err(error) => self.note_damage(error)?,
            }
        }
    }

    /// Hands the decoder the next chosen packet, or the end of the stream so that it gives up the pictures it holds back.
    fn feed(&mut self) -> Result<()> {
        let sent = match self.next_chosen()? {
            Some((packet, Action::Decode)) => self.decoder.send_packet(&packet),
            chosen => {
                self.waiting = chosen.map(|(packet, _)| packet);
                self.draining = true;
                self.decoder.send_eof()
            }
        };
        sent.or_else(|error| self.note_damage(error))
    }

    fn next_chosen(&mut self) -> Result<Option<(Packet, Action)>> {
        while let Some(action) = self.feed.action(self.read) {
            let Some(packet) = self.demuxer.next_packet()? else { break };
            self.read += 1;
            if action != Action::Skip {
                return Ok(Some((packet, action)));
            }
        }
        Ok(None)
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
