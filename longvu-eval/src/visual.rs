//! A data set's video, opened: a file, or a folder of pictures.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

use longvu::{
    Clip, Frame, IntoClip, Video, VideoOptions, open_image,
    video::{self, VideoInfo, Warning},
};

use crate::{Error, FrameRule, Result, VideoRef};

/// A video about to be encoded.
pub struct Visual {
    pub clip: Clip,
    /// Frames a second.
    pub rate: f64,
    warnings: Arc<Mutex<Vec<String>>>,
}

/// A file's or a folder's size, and when it was last changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    pub bytes: u64,
    pub changed: u64,
}

impl Visual {
    /// Opens what a question is about.
    ///
    /// # Errors
    /// A file that is neither a video nor an image, and a folder without pictures.
    pub fn open(video: &VideoRef, rule: &FrameRule) -> longvu::Result<Self> {
        let path = video.found();
        match video.folder_fps {
            Some(rate) => Self::folder(&path, rule.with_bounds_of(video), rate),
            None if video::is_image(&path) => Self::image(&path),
            None => Self::file(&path, rule.with_bounds_of(video)),
        }
    }

    /// Opens a video or image to be sampled as the program samples.
    ///
    /// # Errors
    /// As [`Visual::open`].
    pub fn sampled(path: &Path, options: &VideoOptions) -> longvu::Result<Self> {
        if video::is_image(path) {
            return Self::image(path);
        }
        Self::video(&Video::open_with(path, options.clone())?)
    }

    /// What was wrong with the video, once it has been encoded.
    pub fn warnings(&self) -> impl FnOnce() -> Vec<String> + use<> {
        let warnings = Arc::clone(&self.warnings);
        move || warnings.lock().map(|warnings| warnings.clone()).unwrap_or_default()
    }

    fn file(path: &Path, rule: Bounded<'_>) -> longvu::Result<Self> {
        let choose = |info: &VideoInfo| rule.of(info.frame_count, info.average_fps);
        let video = Video::open_choosing(path, VideoOptions::default(), choose)?;
        rule.check(path, video.info().duration)?;
        Self::video(&video)
    }

    fn video(video: &Video) -> longvu::Result<Self> {
        let (expected, rate) = (video.sampled_indices().len(), video.info().average_fps);
        let warnings = Arc::new(Mutex::new(texts(video.warnings())));
        let mut frames = video.frames()?;
        let heard = Arc::clone(&warnings);
        let frames = std::iter::from_fn(move || {
            let next = frames.next();
            if !matches!(next, Some(Ok(_)))
                && let Ok(mut warnings) = heard.lock()
            {
                *warnings = texts(frames.warnings());
            }
            next.map(|frame| Ok(Frame::from(frame?)))
        });
        Ok(Self { clip: Clip::from_frames(frames, Some(expected)), rate, warnings })
    }

    fn image(path: &Path) -> longvu::Result<Self> {
        let image = open_image(path)?;
        let warnings = Arc::new(Mutex::new(texts(&image.warnings)));
        Ok(Self { clip: image.into_clip()?, rate: 1.0, warnings })
    }

    fn folder(path: &Path, rule: Bounded<'_>, rate: f64) -> longvu::Result<Self> {
        let pictures = pictures(path).unwrap_or_default();
        if pictures.is_empty() {
            return Err(video::Error::NoFrames { path: path.to_owned() }.into());
        }
        rule.check(path, pictures.len() as f64 / rate)?;
        let indices = rule.rule.of_pictures(pictures.len(), rate, rule.bounds);
        let chosen: Vec<(usize, PathBuf)> = indices.iter().map(|&i| (i, pictures[i].clone())).collect();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&warnings);
        let frames = chosen.into_iter().map(move |(index, path)| {
            let image = open_image(&path)?;
            if let Ok(mut warnings) = heard.lock() {
                warnings.extend(texts(&image.warnings).into_iter().map(|text| format!("{}: {text}", path.display())));
            }
            let frame = Frame::from(image.frame);
            Frame::new(index, index as f64 / rate, frame.width, frame.height, frame.rgb)
        });
        Ok(Self { clip: Clip::from_frames(frames, Some(indices.len())), rate, warnings })
    }
}

fn texts(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// A rule with the part of the video that is meant.
struct Bounded<'a> {
    rule: &'a FrameRule,
    bounds: Option<(f64, f64)>,
}

impl Bounded<'_> {
    fn of(&self, frames: usize, rate: f64) -> Vec<usize> {
        self.rule.indices(frames, rate, self.bounds)
    }

    /// Refuses a part that begins when a video of so many seconds has ended.
    fn check(&self, path: &Path, duration: f64) -> longvu::Result<()> {
        match self.bounds {
            Some((start, end)) if start >= duration && duration > 0.0 => {
                let range = format!("{start} s to {end} s");
                Err(video::Error::OutOfRange { path: path.to_owned(), range, duration }.into())
            }
            _ => Ok(()),
        }
    }
}

impl FrameRule {
    fn with_bounds_of(&self, video: &VideoRef) -> Bounded<'_> {
        Bounded { rule: self, bounds: video.bounds }
    }
}

/// The pictures of a folder, by name.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase());
        if suffix.is_some_and(|suffix| ["jpg", "jpeg", "png"].contains(&suffix.as_str())) {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true => {
            Err(Error::BadData { path: folder.to_owned(), reason: "the folder has no pictures (.jpg, .png)".into() })
        }
        false => Ok(found),
    }
}

/// Whether the video is there, as the kind of thing that it should be.
///
/// # Errors
/// A folder where a file should be, or a file where a folder of pictures should be.
pub fn is_there(video: &VideoRef) -> Result<bool> {
    let path = video.found();
    let Ok(there) = fs::metadata(&path) else { return Ok(false) };
    let wrong = |reason: &str| Err(Error::BadData { path: path.clone(), reason: reason.to_owned() });
    match (video.folder_fps.is_some(), there.is_dir()) {
        (false, true) => wrong("it is a folder, and a video file should be there"),
        (true, false) => wrong("it is a file, and a folder of pictures should be there"),
        _ => Ok(true),
    }
}

/// Size and time of a video.
pub fn stamp(video: &VideoRef) -> Stamp {
    let path = video.found();
    let of = |path: &Path| {
        let there = fs::metadata(path).ok()?;
        let changed = there.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Some(Stamp { bytes: there.len(), changed: changed.map_or(0, |time| time.as_secs()) })
    };
    match video.folder_fps {
        None => of(&path).unwrap_or_default(),
        Some(_) => {
            pictures(&path).unwrap_or_default().iter().filter_map(|path| of(path)).fold(Stamp::default(), |sum, one| {
                Stamp { bytes: sum.bytes + one.bytes, changed: sum.changed.max(one.changed) }
            })
        }
    }
}
