//! One pass over the packets of a video, without decoding, to learn its frames and their times.

use ffmpeg::codec;
use ffmpeg::codec::packet::side_data;
use ffmpeg_next as ffmpeg;

use crate::bitstream::{Facts, Inspector};
use crate::demuxer::{Demuxer, End};
use crate::feed;
use crate::rate::{self, Declared, Measured, Rate};
use crate::timeline::Timeline;
use crate::{Error, Result, Warning, ffi};

/// What the packets of a video stream say.
pub(crate) struct Scan {
    pub timeline: Timeline,
    pub rate: Rate,
    /// Length in seconds, the last frame's included.
    pub duration: f64,
    /// Video packets worth decoding.
    pub packets: usize,
    /// What is known of each of them; `None` unless packets can be left out: their codec is known, frames can be told by
    /// their timestamps, and nothing is damaged or unusual.
    pub known: Option<Vec<feed::Packet>>,
    pub warnings: Vec<Warning>,
}

/// Timestamps and flags gathered packet by packet.
#[derive(Default)]
struct Packets {
    count: usize,
    shown: usize,
    pts: Vec<i64>,
    pts_missing: bool,
    first_dts: Option<i64>,
    last_dts: Option<i64>,
    dts_missing: bool,
    dts_jumps_back: bool,
    last_duration: i64,
    /// Whether a packet says how it is encrypted.
    encrypted: bool,
    /// Whether the latest packet was incomplete, and whether it shows a frame.
    last_is_cut: bool,
    last_is_shown: bool,
    /// Reads the packets; `None` when not all of them can be.
    inspector: Option<Inspector>,
    known: Vec<feed::Packet>,
}

impl Scan {
    /// Reads the whole stream once. A container's own frame count is not used: it is absent in streams, a promise in files
    /// that were cut, and blind to edit lists.
    pub fn run(demuxer: &mut Demuxer) -> Result<Self> {
        let no_frames = || Error::NoFrames { path: demuxer.path().to_owned() };
        let (codec, inspector, declared, rates, time_base) = {
            let stream = demuxer.input.stream(demuxer.stream).ok_or_else(no_frames)?;
            let declared = usize::try_from(stream.frames()).unwrap_or(0);
            let (parameters, time_base) = (stream.parameters(), positive(stream.time_base()).unwrap_or(0.0));
            let rates = Declared {
                // GIF states how long each picture stays, and no rate.
                average: positive(stream.avg_frame_rate()).filter(|_| demuxer.input.format().name() != "gif"),
                finest: positive(stream.rate()).filter(|_| demuxer.input.format().name() != "gif"),
                duration: demuxer.declared_length(),
            };
            (parameters.id(), ffi::inspector(&parameters), declared, rates, time_base)
        };
        let mut packets = Packets { inspector, ..Packets::default() };
        while let Some(packet) = demuxer.next_packet()? {
            packets.add(&packet, codec);
        }
        if packets.encrypted {
            return Err(Error::Encrypted { path: demuxer.path().to_owned() });
        }

        let all = packets.count;
        if demuxer.damaged() {
            packets.inspector = None;
        }
        let cut = packets.drop_incomplete_end();
        if packets.shown == 0 {
            return Err(Error::NoFrames { path: demuxer.path().to_owned() });
        }
        let mut warnings = Vec::new();
        // AVI counts empty chunks, which stand for a repeated frame, as frames.
        if declared > packets.count && demuxer.input.format().name() != "avi" {
            warnings.push(Warning::Truncated { declared, found: packets.count });
        } else if cut || demuxer.damaged() {
            warnings.push(Warning::DamagedEnd { found: packets.shown });
        }
        tracing::debug!(path = %demuxer.path().display(), packets = all, shown = packets.shown, declared, "scanned");
        let start = packets.pts.iter().min().map_or(0.0, |first| *first as f64 * time_base);
        let mut scan = packets.finish(rates, time_base, warnings);
        scan.compare_duration(&demuxer.declared_ends(), start);
        Ok(scan)
    }

    /// Warns of a file that ends early, where no frame count told so. Half a second is a usual difference between streams.
    ///
    /// `start` is the first frame's time from the file's zero. Headers count from there or from the first frame, and which is
    /// not said: a file is short if it is so by each of them.
    fn compare_duration(&mut self, declared: &[End], start: f64) {
        let found = self.duration;
        let missing = |end: &End| match end {
            End::AfterFirst(seconds) => seconds - found,
            End::AfterZero(seconds) => seconds - (found + start.max(0.0)),
        };
        let missing = declared.iter().map(missing).fold(f64::INFINITY, f64::min);
        if missing.is_finite()
            && !self.warnings.iter().any(|w| matches!(w, Warning::Truncated { .. } | Warning::DamagedEnd { .. }))
            && found > 0.0
            && missing > 0.5
            && missing > found * 0.05
        {
            self.warnings.push(Warning::EndsEarly { declared: found + missing, found });
        }
    }
}

impl Packets {
    fn add(&mut self, packet: &ffmpeg::Packet, codec: codec::Id) {
        self.count += 1;
        // The last packet may be cut: only damage before it makes the stream one to be wary of.
        if self.last_is_cut {
            self.inspector = None;
        }
        self.last_is_cut = packet.is_corrupt();
        self.last_is_shown = !ffi::is_hidden(packet) && !is_invisible_vp8(packet, codec);
        self.inspect(packet);
        if let Some(dts) = packet.dts() {
            self.dts_jumps_back |= self.last_dts.is_some_and(|last| dts < last);
            self.first_dts.get_or_insert(dts);
            self.last_dts = Some(dts);
        } else {
            self.dts_missing = true;
        }
        if self.last_is_shown {
            self.shown += 1;
            self.last_duration = packet.duration();
            match packet.pts() {
                Some(pts) if !self.pts_missing => self.pts.push(pts),
                Some(_) => {}
                None => self.pts_missing = true,
            }
        }
    }

    /// Notes what the packet's data say, unless one carries something for the decoder beside its data.
    fn inspect(&mut self, packet: &ffmpeg::Packet) {
        use side_data::Type::{EncryptionInfo, NewExtraData, Palette, ParamChange};
        self.encrypted |= packet.side_data().any(|data| data.kind() == EncryptionInfo);
        if packet.side_data().any(|data| matches!(data.kind(), NewExtraData | ParamChange | Palette)) {
            self.inspector = None;
        }
        if let Some(inspector) = &self.inspector {
            let facts = packet.data().map_or_else(Facts::default, |data| inspector.look(data));
            self.known.push(feed::Packet { pts: packet.pts(), shown: self.last_is_shown, facts });
        }
    }

    /// Seconds from the first packet's decoding to the last's; 0 if not known.
    fn decoding_span(&self, time_base: f64) -> f64 {
        match (self.first_dts, self.last_dts) {
            (Some(first), Some(last)) if !self.dts_missing && !self.dts_jumps_back => {
                (i128::from(last) - i128::from(first)) as f64 * time_base
            }
            _ => 0.0,
        }
    }

    /// Forgets a last packet that the end of the file cut through: a decoder would make up the missing part of its picture.
    fn drop_incomplete_end(&mut self) -> bool {
        if self.last_is_cut {
            self.count -= 1;
            self.known.pop();
            if self.last_is_shown {
                self.shown -= 1;
                if !self.pts_missing {
                    self.pts.pop();
                }
            }
        }
        self.last_is_cut
    }

    fn finish(mut self, declared: Declared, time_base: f64, mut warnings: Vec<Warning>) -> Scan {
        self.pts.sort_unstable();
        let distinct = self.pts.chunk_by(|a, b| a == b).count();
        // Timestamps that start again (joined transport streams) would sort frames into the wrong order. A few frames that
        // share a time keep the order in which they are decoded; where most do, times say nothing.
        let timed = !self.pts_missing && distinct * 2 >= self.shown && !self.dts_jumps_back && time_base > 0.0;
        let span = match (self.pts.first(), self.pts.last()) {
            (Some(first), Some(last)) if timed => (i128::from(*last) - i128::from(*first)) as f64 * time_base,
            _ => 0.0,
        };
        let timed = timed && (span > 0.0 || self.shown == 1);
        // Where only times of decoding are there, as in AVI with pictures that are decoded before they are shown, they still
        // tell the rate.
        let measured_span = if timed { span } else { self.decoding_span(time_base) };
        let last = if timed { self.last_duration as f64 * time_base } else { 0.0 };
        let rate = rate::choose(declared, Measured { frames: self.shown, span: measured_span, last });
        warnings.extend(rate.warning(declared));
        if rate.average <= 0.0 {
            warnings.push(Warning::UnknownFrameRate);
        }
        let frame_seconds = if rate.average > 0.0 { 1.0 / rate.average } else { 0.0 };
        let duration = if timed {
            // A last frame of a tick is one of which the file does not say how long it lasts.
            span + if last > 0.0 && !(rate.is_measured && last < frame_seconds / 10.0) { last } else { frame_seconds }
        } else {
            warnings.push(Warning::NoTimestamps { average_fps: rate.average });
            self.shown as f64 * frame_seconds
        };
        let known = self.inspector.filter(|_| timed).map(|_| self.known);
        let timeline = Timeline::new(timed.then_some(self.pts), self.shown, time_base, rate.average);
        Scan { timeline, rate, duration, packets: self.count, known, warnings }
    }
}

fn positive(rational: ffmpeg::Rational) -> Option<f64> {
    (rational.numerator() > 0 && rational.denominator() > 0).then(|| f64::from(rational))
}

/// VP8 keeps reference pictures that are never shown in packets of their own, marked by a bit of the first byte.
fn is_invisible_vp8(packet: &ffmpeg::Packet, codec: codec::Id) -> bool {
    codec == codec::Id::VP8 && packet.data().and_then(<[u8]>::first).is_some_and(|byte| byte & 0x10 == 0)
}
