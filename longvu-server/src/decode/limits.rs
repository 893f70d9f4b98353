//! What one request's decoding may take.

use std::time::Duration;

use longvu::VideoOptions;

use super::{error::DecodeError, wire::Header};

/// What decoding may take, for each video or picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeLimits {
    /// Pixels of a picture.
    pub pixels: u64,
    /// Sampled frames.
    pub frames: usize,
    /// Seconds of video, between `start` and `end` if they are set.
    pub seconds: f64,
    /// Bytes of memory beside those that a decoding process has from its start. Not held where decoding is in the same process.
    pub memory: u64,
    /// Time that the decoder is waited for. What whoever takes the frames does with them does not count. A process may take
    /// as much of each processor.
    pub time: Duration,
}

impl DecodeLimits {
    /// `options` with the limits that the library itself holds to.
    pub(super) fn apply(&self, options: &VideoOptions) -> VideoOptions {
        let limits = options.limits;
        options.clone().with_limits(limits.with_pixels(limits.pixels.min(self.pixels)))
    }

    /// Refuses what is known to be too much before a frame is decoded.
    pub(super) fn check(&self, header: &Header, options: &VideoOptions) -> Result<(), DecodeError> {
        let end = options.end.map_or(header.duration, |end| end.min(header.duration));
        let seconds = end - options.start.unwrap_or(0.0);
        if seconds > self.seconds {
            return Err(DecodeError::TooLong { seconds, limit: self.seconds });
        }
        if header.frames > self.frames {
            return Err(DecodeError::TooManyFrames { frames: header.frames, limit: self.frames });
        }
        Ok(())
    }

    /// Seconds of processor time that a process may take: the limit's on every processor that a decoder uses.
    pub(super) fn cpu_seconds(&self) -> u64 {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS));
        let seconds = self.time.as_secs().saturating_add(u64::from(self.time.subsec_nanos() > 0));
        seconds.max(1).saturating_mul(processors as u64)
    }
}

/// Threads of a decoder, at most.
const MAX_THREADS: usize = 16;

#[cfg(test)]
mod tests {
    use longvu::VisualKind;

    use super::*;

    #[test]
    fn a_range_counts_by_its_own_length() {
        let limits =
            DecodeLimits { pixels: 1 << 20, frames: 10, seconds: 60.0, memory: 1 << 30, time: Duration::from_secs(9) };
        let header =
            |frames| Header { kind: VisualKind::Video, size: (4, 2), frames, duration: 3600.0, warnings: vec![] };
        let part = VideoOptions::default().with_start(100.0).with_end(160.0);
        limits.check(&header(10), &part).unwrap();
        limits.check(&header(1), &VideoOptions::default().with_start(3599.0)).unwrap();
        let error = limits.check(&header(1), &VideoOptions::default()).unwrap_err();
        assert!(matches!(error, DecodeError::TooLong { seconds: 3600.0, .. }), "{error}");
        let error = limits.check(&header(11), &part).unwrap_err();
        assert!(matches!(error, DecodeError::TooManyFrames { frames: 11, limit: 10 }), "{error}");
    }

    #[test]
    fn the_smaller_limit_on_pixels_holds() {
        let limits = DecodeLimits { pixels: 100, frames: 1, seconds: 1.0, memory: 1, time: Duration::from_millis(1) };
        assert_eq!(limits.apply(&VideoOptions::default()).limits.pixels, 100);
        let smaller = VideoOptions::default().with_limits(longvu::video::Limits::default().with_pixels(7));
        assert_eq!(limits.apply(&smaller).limits.pixels, 7);
        assert!(limits.cpu_seconds() >= 1);
    }
}
