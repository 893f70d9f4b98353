//! An opened video: what it is, and which of its frames will be taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use image::metadata::Orientation;

use crate::demuxer::Demuxer;
use crate::feed::Feed;
use crate::frames::{Frames, Plan};
use crate::options::{Decoding, Sampling, VideoOptions};
use crate::picture::{self, Facts};
use crate::scan::Scan;
use crate::timeline::Timeline;
use crate::{Error, Limits, Result, VideoInfo, Warning, colour, ffi, orientation, sampling};

/// A video file, scanned but not decoded.
///
/// Opening reads the file once without decoding, to count its frames, learn their times and see which the sampled ones
/// depend on; 8 bytes a frame are kept for the times, and one for each packet up to the last that is decoded.
/// [`frames`](Self::frames) then decodes it; it can be called again.
#[derive(Debug, Clone)]
pub struct Video {
    info: VideoInfo,
    plan: Arc<Plan>,
    timestamps: Vec<f64>,
    warnings: Vec<Warning>,
}

impl Video {
    /// Opens a video to be sampled at one frame a second, as LongVU does.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, VideoOptions::default())
    }

    /// Opens a video with settings of one's own.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for settings that make no sense; [`Error::NotFound`], [`Error::NotAFile`],
    /// [`Error::EmptyFile`], [`Error::Io`] or [`Error::Read`] if the file cannot be read; [`Error::NotAVideo`],
    /// [`Error::NoIndex`], [`Error::NoVideoStream`] or [`Error::NoFrames`] if there is no video in it;
    /// [`Error::Playlist`], [`Error::External`], [`Error::Encrypted`], [`Error::Heif`] or
    /// [`Error::UnsupportedFormat`] if it is of a kind that is not read; [`Error::Image`] for a picture that does not
    /// say its size; [`Error::TooLarge`], [`Error::SideTooLong`], [`Error::AnimationTooLarge`] or
    /// [`Error::FileTooLarge`] over the [`limits`](VideoOptions::limits); [`Error::OutOfRange`] if no frame lies in the
    /// asked-for range.
    pub fn open_with(path: impl AsRef<Path>, options: VideoOptions) -> Result<Self> {
        options.validate()?;
        Self::open_choosing_by(path.as_ref(), &options, |_, timeline, rate| {
            Ok(sampling::sampled_indices(&options, timeline, rate))
        })
    }

    /// Opens a video of which the caller chooses frames, by what the file is: `choose` gets [`Self::info`] and returns
    /// indices of frames, counted in displayed frames from 0, ascending.
    ///
    /// Of `options` the settings [`sampling`](VideoOptions::sampling), `start`, `end` and `max_frames` do not matter.
    ///
    /// ```no_run
    /// use longvu_video::{Video, VideoOptions};
    /// // The last frame of each second, by the file's rate.
    /// let video = Video::open_choosing("clip.mp4", VideoOptions::default(), |info| {
    ///     let rate = (info.average_fps.round() as usize).max(1);
    ///     (rate - 1..info.frame_count).step_by(rate).collect()
    /// })?;
    /// # Ok::<(), longvu_video::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with), and [`Error::InvalidOption`] for no indices at all, or such as do not ascend or
    /// the video does not have.
    pub fn open_choosing(
        path: impl AsRef<Path>,
        options: VideoOptions,
        choose: impl FnOnce(&VideoInfo) -> Vec<usize>,
    ) -> Result<Self> {
        let options = VideoOptions { sampling: Sampling::default(), start: None, end: None, ..options };
        options.validate()?;
        Self::open_choosing_by(path.as_ref(), &options, |info, timeline, _| {
            let indices = choose(info);
            sampling::check_choice(&indices, timeline.len()).map(|()| indices)
        })
    }

    fn open_choosing_by(
        path: &Path,
        options: &VideoOptions,
        choose: impl FnOnce(&VideoInfo, &Timeline, f64) -> Result<Vec<usize>>,
    ) -> Result<Self> {
        let facts = picture::look(path, &options.limits)?;
        if let Some(facts) = &facts
            && facts.has_own_decoder()
        {
            return Self::of_pictures(path, options, facts, choose);
        }
        let mut demuxer = Demuxer::open(path, &options.limits)?;
        let (mut info, coded_size, mut warnings) = describe(&demuxer, path, &options.limits)?;
        let mut scan = Scan::run(&mut demuxer)?;
        if facts.as_ref().is_some_and(Facts::is_animated) && scan.duration > 0.0 {
            // The header's rate is that of the first pictures.
            let rate = scan.timeline.len() as f64 / scan.duration;
            (scan.rate.average, scan.rate.sampling) = (rate, rate);
        }
        warnings.splice(0..0, scan.warnings);
        let is_of_an_end =
            |warning: &Warning| matches!(warning, Warning::Truncated { .. } | Warning::DamagedEnd { .. });
        let known = warnings.iter().any(is_of_an_end);
        let more = facts.into_iter().flat_map(|facts| facts.warnings);
        warnings.extend(more.filter(|warning| !(known && is_of_an_end(warning))));
        let stored_as = demuxer.orientation().unwrap_or_else(|| {
            warnings.push(Warning::UnusualRotation);
            Orientation::NoTransforms
        });
        let turn = if options.autorotate { stored_as } else { Orientation::NoTransforms };
        let crop = demuxer.crop().and_then(|crop| {
            let area = crop.area(coded_size);
            warnings.extend(area.is_none().then_some(Warning::UnusualCrop));
            area.filter(|area| (area.width, area.height) != coded_size)
        });
        let shown = crop.map_or(coded_size, |area| (area.width, area.height));

        (info.width, info.height) = orientation::turned_size(turn, shown);
        (info.rotation, info.mirrored) = orientation::describe(stored_as);
        info.frame_count = scan.timeline.len();
        info.average_fps = scan.rate.average;
        info.duration = scan.duration;
        for warning in &warnings {
            tracing::warn!(path = %path.display(), "{warning}");
        }

        let indices = choose(&info, &scan.timeline, scan.rate.sampling)?;
        check_range(options, &indices, path, scan.duration)?;
        let timestamps = indices.iter().map(|index| scan.timeline.time(*index)).collect();
        let known = scan.known.filter(|_| options.decoding == Decoding::Sparse);
        let is_sampled = |pts| scan.timeline.indices_of(pts).any(|index| indices.binary_search(&index).is_ok());
        let feed = known.map_or(Feed::First(scan.packets), |known| Feed::choose(&known, is_sampled));
        let plan = Plan {
            indices,
            timeline: scan.timeline,
            packets: scan.packets,
            feed,
            stream: demuxer.stream,
            coded_size,
            crop,
            turn,
            pictures: None,
            limits: options.limits,
        };
        Ok(Self { info, plan: Arc::new(plan), timestamps, warnings })
    }

    /// A still picture as a video of one frame, or an animation that FFmpeg does not decode.
    fn of_pictures(
        path: &Path,
        options: &VideoOptions,
        facts: &Facts,
        choose: impl FnOnce(&VideoInfo, &Timeline, f64) -> Result<Vec<usize>>,
    ) -> Result<Self> {
        if facts.size.0 == 0 || facts.size.1 == 0 {
            // The decoder says best what is wrong.
            let read = picture::read_first(path, &mut facts.clone(), &options.limits);
            return Err(read.err().unwrap_or_else(|| Error::NoFrames { path: path.to_owned() }));
        }
        let count = facts.delays.len().max(1);
        let starts = facts.delays.iter().scan(Duration::ZERO, |end, delay| {
            let start = *end;
            *end = end.saturating_add(*delay);
            i64::try_from(start.as_nanos()).ok()
        });
        let pts: Vec<i64> = starts.collect();
        let duration = if facts.is_animated() { facts.delays.iter().map(Duration::as_secs_f64).sum() } else { 0.0 };
        let average_fps = if duration > 0.0 { count as f64 / duration } else { 0.0 };
        let timeline = Timeline::new(Some(pts).filter(|pts| pts.len() == count), count, 1e-9, average_fps);

        let warnings = picture::still_warnings(path, facts, &options.limits)?;
        for warning in &warnings {
            tracing::warn!(path = %path.display(), "{warning}");
        }
        let turn = if options.autorotate { facts.orientation } else { Orientation::NoTransforms };
        let (width, height) = orientation::turned_size(turn, facts.size);
        let (rotation, mirrored) = orientation::describe(facts.orientation);
        let (container, codec) = facts.names();
        let info = VideoInfo {
            path: PathBuf::from(path),
            container: container.to_owned(),
            codec: codec.to_owned(),
            width,
            height,
            frame_count: count,
            average_fps,
            duration,
            rotation,
            mirrored,
            has_audio: false,
        };
        let indices = choose(&info, &timeline, average_fps)?;
        check_range(options, &indices, path, duration)?;
        let timestamps = indices.iter().map(|index| timeline.time(*index)).collect();
        let plan = Plan {
            indices,
            timeline,
            packets: count,
            feed: Feed::First(count),
            stream: 0,
            coded_size: facts.size,
            crop: None,
            turn,
            pictures: Some(facts.clone()),
            limits: options.limits,
        };
        Ok(Self { info, plan: Arc::new(plan), timestamps, warnings })
    }

    /// What the file is.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Indices of the frames that will be taken, ascending, counted in displayed frames from 0.
    pub fn sampled_indices(&self) -> &[usize] {
        &self.plan.indices
    }

    /// Times of those frames, in seconds since the first frame of the video.
    pub fn sampled_timestamps(&self) -> &[f64] {
        &self.timestamps
    }

    /// What is wrong with the file as far as opening could tell.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Starts decoding: an iterator over the sampled frames, in order.
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with), for the file is opened again; [`Error::UnsupportedCodec`] if FFmpeg has no
    /// decoder for it.
    pub fn frames(&self) -> Result<Frames> {
        Frames::start(&self.info.path, Arc::clone(&self.plan), self.warnings.clone())
    }
}

/// The facts in the headers, the stored size (width, height), and what is to be said of them.
fn describe(demuxer: &Demuxer, path: &Path, limits: &Limits) -> Result<(VideoInfo, (u32, u32), Vec<Warning>)> {
    let no_frames = || Error::NoFrames { path: path.to_owned() };
    let stream = demuxer.input.stream(demuxer.stream).ok_or_else(no_frames)?;
    let parameters = stream.parameters();
    let (width, height) = ffi::picture_size(&parameters);
    // Headers without a size belong to streams in which FFmpeg found no picture to look at.
    if width == 0 || height == 0 {
        return Err(no_frames());
    }
    limits.check_picture(path, (width, height))?;
    let info = VideoInfo {
        path: PathBuf::from(path),
        container: demuxer.input.format().name().to_owned(),
        codec: parameters.id().name().to_owned(),
        width,
        height,
        frame_count: 0,
        average_fps: 0.0,
        duration: 0.0,
        rotation: 0,
        mirrored: false,
        has_audio: demuxer.has_audio(),
    };
    let mut warnings = colour::of_stream(&stream);
    // Other items of a still picture's file, which FFmpeg 9 has streams for, are thumbnails and parts of it.
    if demuxer.videos > 1 && !demuxer.is_still() {
        warnings.push(Warning::SeveralVideos { videos: demuxer.videos, width, height });
    }
    if let Some((width, height)) = demuxer.pixel_aspect() {
        warnings.push(Warning::NonSquarePixels { width, height });
    }
    Ok((info, (width, height), warnings))
}

/// Refuses an empty choice, and times that lie past the end.
fn check_range(options: &VideoOptions, indices: &[usize], path: &Path, duration: f64) -> Result<()> {
    let out_of_range = |range: String| Err(Error::OutOfRange { path: path.to_owned(), range, duration });
    if let Sampling::Timestamps(times) = &options.sampling
        && let Some(time) = times.iter().find(|time| **time > duration)
    {
        return out_of_range(format!("the time {time} s"));
    }
    if indices.is_empty() {
        let (start, end) =
            (options.start.unwrap_or(0.0), options.end.map_or("the end".into(), |end| format!("{end} s")));
        return out_of_range(format!("{start} s to {end}"));
    }
    Ok(())
}
