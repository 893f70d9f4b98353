//! The file that is asked about: a video or image, opened, sampled, watched while it is decoded; or one encoded before.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Result, bail};
use longvu::{
    Clip, EncodedVideo, IntoClip, LongVu, SavedFeatures, Video, VideoOptions, open_image,
    video::{self, Frames, Stats, VideoInfo},
};
use serde::Serialize;

use crate::{
    flags::FrameArgs,
    output::{self, Progress},
    sheet::Thumbnails,
};

/// The extension that encoded videos usually have.
const EXTENSION: &str = "longvu";

/// Names of an encoded video's notes.
const WARNINGS: &str = "warnings";
const SOURCE: &str = "source";
const SAMPLING: &str = "sampling";

/// What a question can be about.
pub enum Input {
    Media(Box<Source>),
    /// A file that `longvu encode` wrote.
    Encoded(PathBuf),
}

impl Input {
    /// Opens `path`; encoded videos are recognised by what is in them, damaged ones by their name.
    ///
    /// # Errors
    /// A file that is nothing of the kind, and flags that do not fit it.
    pub fn open(path: &Path, args: &FrameArgs, options: VideoOptions) -> Result<Self> {
        if is_encoded(path) {
            args.refuse_sampling()?;
            return Ok(Self::Encoded(path.to_owned()));
        }
        Ok(Self::Media(Box::new(Source::open(path, options)?)))
    }

    /// Seconds that opening took.
    pub fn seconds(&self) -> f64 {
        match self {
            Self::Media(source) => source.seconds,
            Self::Encoded(_) => 0.0,
        }
    }

    /// How many frames will be looked at, and their width and height; of an encoded video none.
    pub fn frames(&self) -> (usize, (u32, u32)) {
        match self {
            Self::Media(source) => source.frames(),
            Self::Encoded(_) => (0, (1, 1)),
        }
    }

    /// The video's facts, while there is a video.
    pub fn info(&self) -> Option<&VideoInfo> {
        match self {
            Self::Media(source) => source.info(),
            Self::Encoded(_) => None,
        }
    }

    /// Keeps small pictures of the frames as they pass by; of an encoded video there are none, and `false` comes back.
    pub fn keep_thumbnails(&mut self) -> bool {
        match self {
            Self::Media(source) => source.thumbnails = true,
            Self::Encoded(_) => return false,
        }
        true
    }

    /// The encoded video, made or read, and what its decoding told, now or then.
    ///
    /// # Errors
    /// As [`LongVu::encode`] or [`LongVu::load_encoded`].
    pub fn encode(self, model: &LongVu, quiet: bool) -> Result<(EncodedVideo, Decoded)> {
        let path = match &self {
            Self::Media(source) => source.path.clone(),
            Self::Encoded(path) => path.clone(),
        };
        let (encoded, mut decoded) = self.look(model, quiet)?;
        if let Some(remark) = encoded.repeats_remark() {
            output::warning(&format!("{}: {remark}", path.display()));
            decoded.warnings.push(remark);
        }
        Ok((encoded, decoded))
    }

    /// The same without remarks on what was encoded.
    fn look(self, model: &LongVu, quiet: bool) -> Result<(EncodedVideo, Decoded)> {
        match self {
            Self::Media(source) => source.encode(model, quiet),
            Self::Encoded(path) => {
                let encoded = model.load_encoded(&path)?;
                let warnings = encoded.notes().get(WARNINGS).and_then(|text| serde_json::from_str(text).ok());
                let decoded = Decoded { warnings: warnings.unwrap_or_default(), ..Decoded::default() };
                decoded.warnings.iter().for_each(|text: &String| {
                    output::warning(&format!("{}: {text}", path.display()));
                });
                Ok((encoded, decoded))
            }
        }
    }
}

/// Whether `path` is an encoded video, or was one before it was damaged.
fn is_encoded(path: &Path) -> bool {
    let named = path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file();
    named || EncodedVideo::is_saved_at(path)
}

/// An opened video or image.
pub struct Source {
    pub path: PathBuf,
    pub media: Media,
    options: VideoOptions,
    /// Whether small pictures of the frames are kept.
    thumbnails: bool,
    /// Seconds that opening took.
    pub seconds: f64,
}

/// What the file is.
pub enum Media {
    Video(Video),
    Image(video::DecodedFrame),
}

/// What decoding told.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decoded {
    /// The sampled frames that came, in order.
    pub frames: Vec<Sampled>,
    pub warnings: Vec<String>,
    /// Absent for an image.
    pub stats: Option<DecodeStats>,
    /// Small pictures of the frames, if they were to be kept.
    #[serde(skip)]
    pub thumbnails: Thumbnails,
}

/// A sampled frame's place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sampled {
    pub index: usize,
    pub timestamp: f64,
}

/// Counts of [`Stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DecodeStats {
    pub decoded: usize,
    pub converted: usize,
    pub damaged_packets: usize,
    pub damaged_frames: usize,
    pub missing: usize,
    pub replaced: usize,
}

impl Source {
    /// Opens `path` and prints what is wrong with it as far as that can be told without decoding.
    ///
    /// # Errors
    /// A file that is neither a readable video nor an image.
    pub fn open(path: &Path, options: VideoOptions) -> Result<Self> {
        let start = Instant::now();
        if is_encoded(path) {
            bail!("{} is an encoded video: give it to `longvu ask` or `longvu chat`", path.display());
        }
        let media = if video::is_image(path) {
            let image = open_image(path)?;
            image.warnings.iter().for_each(|warning| warn(path, warning));
            Media::Image(image.frame)
        } else {
            let video = Video::open_with(path, options.clone())?;
            video.warnings().iter().for_each(|warning| warn(path, warning));
            Media::Video(video)
        };
        Ok(Self { path: path.to_owned(), media, options, thumbnails: false, seconds: start.elapsed().as_secs_f64() })
    }

    /// Keeps small pictures of the frames as they pass by.
    #[must_use]
    pub fn with_thumbnails(mut self) -> Self {
        self.thumbnails = true;
        self
    }

    /// The video's facts; `None` for an image.
    pub fn info(&self) -> Option<&VideoInfo> {
        match &self.media {
            Media::Video(video) => Some(video.info()),
            Media::Image(_) => None,
        }
    }

    /// How many frames will be looked at, and their width and height.
    pub fn frames(&self) -> (usize, (u32, u32)) {
        match &self.media {
            Media::Video(video) => {
                let info = video.info();
                (video.sampled_indices().len(), (info.width, info.height))
            }
            Media::Image(frame) => (1, (frame.width, frame.height)),
        }
    }

    /// Decodes and encodes, with a progress bar, and prints what turned out to be wrong.
    ///
    /// # Errors
    /// As [`LongVu::encode`].
    pub fn encode(self, model: &LongVu, quiet: bool) -> Result<(EncodedVideo, Decoded)> {
        let (encoded, decoded, notes) = self.see(model, quiet, |model, clip, _| model.encode(clip))?;
        let encoded = notes.into_iter().fold(encoded, |encoded, (name, text)| encoded.with_note(name, text));
        Ok((encoded, decoded))
    }

    /// Decodes and writes the towers' features to `out`, with a progress bar, and prints what turned out to be wrong.
    ///
    /// # Errors
    /// As [`LongVu::save_features`].
    pub fn save_features(self, model: &LongVu, out: &Path, quiet: bool) -> Result<(SavedFeatures, Decoded)> {
        let (saved, decoded, _) = self.see(model, quiet, |model, clip, notes| model.save_features(clip, out, notes))?;
        Ok((saved, decoded))
    }

    /// Lets a model look at the frames; returns what it made of them, what decoding told, and the remarks to keep.
    fn see<T>(
        self,
        model: &LongVu,
        quiet: bool,
        look: impl FnOnce(&LongVu, Clip, &BTreeMap<String, String>) -> longvu::Result<T>,
    ) -> Result<(T, Decoded, BTreeMap<String, String>)> {
        let progress = Progress::new(quiet, "decoding");
        let watched = Arc::new(Mutex::new(Decoded::default()));
        let name = video::path_text(Path::new(self.path.file_name().unwrap_or_default()));
        let mut notes = BTreeMap::from([(SOURCE.to_owned(), name)]);
        let clip = match self.media {
            Media::Image(frame) => {
                if self.thumbnails {
                    note(&watched, |decoded| decoded.thumbnails.push(&frame));
                }
                frame.into_clip()?
            }
            Media::Video(video) => {
                notes.insert(SAMPLING.to_owned(), serde_json::to_string(&self.options)?);
                let expected = video.sampled_indices().len();
                let frames = Watched::new(&self.path, video.frames()?, &watched).with_thumbnails(self.thumbnails);
                Clip::from_frames(frames.map(|frame| Ok(frame?.into())), Some(expected))
            }
        };
        let seen = look(&model.watched(progress.watch()), clip, &notes);
        drop(progress);
        let decoded = watched.lock().map(|mut decoded| std::mem::take(&mut *decoded)).unwrap_or_default();
        if !decoded.warnings.is_empty() {
            notes.insert(WARNINGS.to_owned(), serde_json::to_string(&decoded.warnings)?);
        }
        Ok((seen?, decoded, notes))
    }

    /// Decodes all sampled frames and throws them away.
    ///
    /// # Errors
    /// A video of which nothing can be decoded.
    pub fn decode(&self, quiet: bool) -> Result<Decoded> {
        let Media::Video(video) = &self.media else { return Ok(Decoded::default()) };
        let (progress, total) = (Progress::new(quiet, "decoding"), video.sampled_indices().len());
        let watched = Arc::new(Mutex::new(Decoded::default()));
        for (i, frame) in Watched::new(&self.path, video.frames()?, &watched).enumerate() {
            frame?;
            progress.decoding(i + 1, total);
        }
        drop(progress);
        Ok(watched.lock().map(|mut decoded| std::mem::take(&mut *decoded)).unwrap_or_default())
    }
}

fn warn(path: &Path, warning: &video::Warning) {
    output::warning(&format!("{}: {warning}", path.display()));
}

fn note(watched: &Mutex<Decoded>, what: impl FnOnce(&mut Decoded)) {
    if let Ok(mut decoded) = watched.lock() {
        what(&mut decoded);
    }
}

/// Frames that leave a record behind, for the encoder consumes them.
struct Watched {
    path: PathBuf,
    frames: Frames,
    record: Arc<Mutex<Decoded>>,
    /// Warnings that opening the file has shown.
    shown: usize,
    thumbnails: bool,
}

impl Watched {
    fn new(path: &Path, frames: Frames, record: &Arc<Mutex<Decoded>>) -> Self {
        let shown = frames.warnings().len();
        Self { path: path.to_owned(), frames, record: Arc::clone(record), shown, thumbnails: false }
    }

    fn with_thumbnails(mut self, thumbnails: bool) -> Self {
        self.thumbnails = thumbnails;
        self
    }

    fn finish(&mut self) {
        let warnings = self.frames.warnings();
        warnings.iter().skip(self.shown).for_each(|warning| warn(&self.path, warning));
        self.shown = warnings.len();
        let Stats { decoded, converted, damaged_packets, damaged_frames, missing, replaced, .. } = self.frames.stats();
        let stats = DecodeStats { decoded, converted, damaged_packets, damaged_frames, missing, replaced };
        note(&self.record, |record| {
            record.warnings = warnings.iter().map(ToString::to_string).collect();
            record.stats = Some(stats);
        });
    }
}

impl Iterator for Watched {
    type Item = video::Result<video::DecodedFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        let frame = self.frames.next();
        match &frame {
            Some(Ok(frame)) => {
                let sampled = Sampled { index: frame.index, timestamp: frame.timestamp };
                note(&self.record, |record| {
                    record.frames.push(sampled);
                    if self.thumbnails {
                        record.thumbnails.push(frame);
                    }
                });
            }
            Some(Err(_)) | None => self.finish(),
        }
        frame
    }
}
