//! Where a video's pictures come from: FFmpeg's decoder, or the decoders of pictures.

use std::path::Path;

use ffmpeg_next::frame;

use crate::Result;
use crate::decoder::Decoder;
use crate::demuxer::Demuxer;
use crate::feed::Feed;
use crate::frames::Plan;
use crate::picture::Pictures;

/// A decoder with its source.
pub(crate) enum Source {
    Stream(Box<Decoder>),
    Pictures(Box<Pictures>),
}

impl Source {
    /// Opens `path` anew: as pictures if `plan` says what they are, else as a stream, fed with `feed`.
    pub fn open(path: &Path, plan: &Plan, feed: Feed) -> Result<Self> {
        let limits = &plan.limits;
        Ok(match &plan.pictures {
            Some(facts) => Self::Pictures(Box::new(Pictures::open(path, facts, limits)?)),
            None => {
                let demuxer = Demuxer::reopen(path, plan.stream, limits)?;
                Self::Stream(Box::new(Decoder::new(demuxer, feed, limits.pixels)?))
            }
        })
    }

    /// Decodes the next picture in display order; false at the end.
    pub fn advance(&mut self) -> Result<bool> {
        match self {
            Self::Stream(decoder) => decoder.advance(),
            Self::Pictures(pictures) => pictures.advance(),
        }
    }

    /// The latest picture.
    pub fn picture(&self) -> &frame::Video {
        match self {
            Self::Stream(decoder) => &decoder.picture,
            Self::Pictures(pictures) => &pictures.picture,
        }
    }

    /// Whether packets are left out.
    pub fn is_sparse(&self) -> bool {
        matches!(self, Self::Stream(decoder) if decoder.is_sparse())
    }

    /// Pictures that came out.
    pub fn decoded(&self) -> usize {
        match self {
            Self::Stream(decoder) => decoder.decoded,
            Self::Pictures(pictures) => pictures.decoded,
        }
    }

    /// Packets that the decoder refused, and pictures that came out with errors in them.
    pub fn damaged(&self) -> (usize, usize) {
        match self {
            Self::Stream(decoder) => (decoder.damaged_packets, decoder.damaged_frames),
            Self::Pictures(pictures) => (pictures.damaged, 0),
        }
    }
}
