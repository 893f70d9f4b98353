//! The iterator over a video's sampled frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::metadata::Orientation;

use crate::crop::Area;
use crate::feed::Feed;
use crate::ffi::{self, RgbConverter};
use crate::picture::Facts;
use crate::source::Source;
use crate::timeline::Timeline;
use crate::{DecodedFrame, Error, Limits, Result, Warning, colour, orientation};

/// Which frames to take from a file and what to do with them.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Ascending and distinct.
    pub indices: Vec<usize>,
    pub timeline: Timeline,
    /// Packets worth decoding.
    pub packets: usize,
    /// Those of them that are decoded.
    pub feed: Feed,
    /// The stream's index in its container.
    pub stream: usize,
    /// Stored width and height.
    pub coded_size: (u32, u32),
    /// The part of the stored pictures to show.
    pub crop: Option<Area>,
    pub turn: Orientation,
    /// What the file is, if its pictures are not FFmpeg's to decode.
    pub pictures: Option<Facts>,
    pub limits: Limits,
}

/// What an iteration has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that came out of the decoder; see [`Decoding`](crate::Decoding).
    pub decoded: usize,
    /// Frames converted to RGB and handed out.
    pub converted: usize,
    /// Packets that could not be decoded.
    pub damaged_packets: usize,
    /// Decoded frames that have errors in them.
    pub damaged_frames: usize,
    /// Sampled frames that could not be had, with no later frame in their place.
    pub missing: usize,
    /// Sampled frames for which the next decodable frame stands.
    pub replaced: usize,
}

/// The sampled frames of a [`Video`](crate::Video), decoded as they are asked for.
///
/// Frames are decoded once, in order, and only sampled ones are converted to RGB. Frames that no sample depends on are not
/// decoded ([`Decoding::Sparse`](crate::Decoding::Sparse)); should damage show, decoding starts over with every frame, so
/// that the result is the same. Memory holds one picture beside the decoder's own, however long the video. All frames have
/// the size that [`VideoInfo`](crate::VideoInfo) gives.
///
/// Where damage makes a sampled frame undecodable, the next one that comes before the following sample stands for it, with
/// its own index and time; if none does, the sample is left out. Both are counted in [`stats`](Self::stats) and reported in
/// [`warnings`](Self::warnings). After an error the iterator ends.
pub struct Frames {
    path: PathBuf,
    plan: Arc<Plan>,
    decoder: Source,
    converter: RgbConverter,
    /// Samples served or given up.
    taken: usize,
    /// The index of the next picture if no frame was lost.
    next_in_order: usize,
    stats: Stats,
    size_changed: bool,
    warnings: Vec<Warning>,
    done: bool,
}

impl Frames {
    pub(crate) fn start(path: &Path, plan: Arc<Plan>, warnings: Vec<Warning>) -> Result<Self> {
        let decoder = Source::open(path, &plan, plan.feed.clone())?;
        Ok(Self {
            path: path.to_owned(),
            plan,
            decoder,
            converter: RgbConverter::default(),
            taken: 0,
            next_in_order: 0,
            stats: Stats::default(),
            size_changed: false,
            warnings,
            done: false,
        })
    }

    /// What is wrong with the file, as far as opening and decoding could tell; complete once the iterator has ended.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        let (packets, frames) = self.decoder.damaged();
        Stats {
            decoded: self.stats.decoded + self.decoder.decoded(),
            damaged_packets: self.stats.damaged_packets.max(packets),
            damaged_frames: self.stats.damaged_frames.max(frames),
            ..self.stats
        }
    }

    fn next_frame(&mut self) -> Result<Option<DecodedFrame>> {
        while self.taken < self.plan.indices.len() {
            let more = self.decoder.advance()?;
            if self.decoder.is_sparse() && self.is_amiss(more) {
                self.start_over()?;
                continue;
            }
            if !more {
                break;
            }
            let index = self.plan.timeline.position(self.decoder.picture().pts(), self.next_in_order);
            self.next_in_order = index + 1;
            if self.claim(index) {
                return self.convert(index).map(Some);
            }
        }
        self.finish()?;
        Ok(None)
    }

    /// Whether a decoder that leaves packets out shows damage, a frame out of place or the loss of a sample: what follows
    /// could then depend on what was left out.
    fn is_amiss(&self, more: bool) -> bool {
        let index = self.decoder.picture().pts().and_then(|pts| self.plan.timeline.index_of(pts, self.next_in_order));
        let due = self.plan.indices.get(self.taken);
        let in_place = more && index >= Some(self.next_in_order) && index <= due.copied();
        !in_place || self.decoder.damaged() != (0, 0)
    }

    /// Decodes everything from the first packet on, to go on after the samples already handed out.
    fn start_over(&mut self) -> Result<()> {
        tracing::debug!(path = %self.path.display(), taken = self.taken, "decoding every packet because of damage");
        // What a strict decoder found, the next one may hide.
        self.stats = self.stats();
        self.decoder = Source::open(&self.path, &self.plan, Feed::First(self.plan.packets))?;
        self.next_in_order = 0;
        Ok(())
    }

    /// Whether the picture at `index` is to be handed out: it is a sample, or the first after lost samples.
    fn claim(&mut self, index: usize) -> bool {
        let due = self.plan.indices.get(self.taken..).unwrap_or_default();
        let due = due.get(..due.partition_point(|sample| *sample <= index)).unwrap_or_default();
        let Some(latest) = due.last() else {
            return false;
        };
        self.stats.missing += due.len() - 1;
        self.stats.replaced += usize::from(*latest != index);
        self.taken += due.len();
        true
    }

    fn convert(&mut self, index: usize) -> Result<DecodedFrame> {
        let picture = self.decoder.picture();
        let turn = self.plan.turn;
        let (width, height) = (picture.width(), picture.height());
        // Later versions of FFmpeg crop as the container says, earlier ones leave it to us.
        let is_cropped = self.plan.crop.is_some_and(|area| (area.width, area.height) == (width, height));
        let crop = self.plan.crop.filter(|_| !is_cropped);
        let size = if is_cropped { (width, height) } else { self.plan.coded_size };
        let shown = crop.map_or(size, |area| (area.width, area.height));
        if (width, height) != size && !self.size_changed {
            self.size_changed = true;
            self.warnings.push(Warning::SizeChanged { index, width, height });
        }
        for warning in colour::of(ffi::Colours::of_picture(picture)) {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let rgb = self.converter.convert(picture, size);
        let rgb = rgb.and_then(|rgb| if let Some(area) = crop { area.cut(size.0, &rgb) } else { Some(rgb) });
        let Some(rgb) = rgb.and_then(|rgb| orientation::turn(turn, shown, rgb)) else {
            let format = format!("{:?}", picture.format()).to_lowercase();
            return Err(Error::Convert { path: self.path.clone(), index, format, width, height });
        };
        self.stats.converted += 1;
        let (width, height) = orientation::turned_size(turn, shown);
        Ok(DecodedFrame::from_rgb(width, height, rgb)?.at(index, self.plan.timeline.time(index)))
    }

    /// Sums up the damage once nothing more will come.
    fn finish(&mut self) -> Result<()> {
        self.stats.missing += self.plan.indices.len() - self.taken;
        self.taken = self.plan.indices.len();
        let Stats { converted, damaged_packets, damaged_frames, missing, replaced, .. } = self.stats();
        let known = self.warnings.len();
        if damaged_packets > 0 || damaged_frames > 0 {
            self.warnings.push(Warning::Damaged { packets: damaged_packets, frames: damaged_frames });
        }
        if missing > 0 || replaced > 0 {
            self.warnings.push(Warning::MissingFrames { missing, replaced });
        }
        for warning in self.warnings.iter().skip(known) {
            tracing::warn!(path = %self.path.display(), "{warning}");
        }
        if converted == 0 { Err(Error::NoFrames { path: self.path.clone() }) } else { Ok(()) }
    }
}

impl Iterator for Frames {
    type Item = Result<DecodedFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.next_frame().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = if self.done { 0 } else { self.plan.indices.len() - self.taken };
        // One more for an error at the end.
        (0, Some(left + usize::from(!self.done)))
    }
}

impl std::iter::FusedIterator for Frames {}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("path", &self.path).field("stats", &self.stats()).finish_non_exhaustive()
    }
}
