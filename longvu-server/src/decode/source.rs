//! From a file to messages: what a decoding process does, and a decoding thread.

use std::{error::Error, fmt, path::Path};

use longvu::{
    Video, VideoOptions, VisualKind, text,
    video::{self, ImageOptions, Warning},
};

use super::wire::{Failure, Header, MAX_WARNINGS, Message};

/// Whether whoever receives messages wants more of them.
pub(super) type WantsMore = bool;

/// Why there will be no more messages.
enum Stop {
    /// Nobody wants them.
    Unwanted,
    Failed(longvu::Error),
}

impl From<video::Error> for Stop {
    fn from(error: video::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<longvu::Error> for Stop {
    fn from(error: longvu::Error) -> Self {
        Self::Failed(error)
    }
}

/// Decodes a video or picture, told apart by its content: a header, frames, and an end or a failure.
pub(super) fn decode(path: &Path, options: &VideoOptions, mut send: impl FnMut(Message) -> WantsMore) {
    let is_image = video::is_image(path);
    let done = if is_image { image(path, options, &mut send) } else { moving(path, options, &mut send) };
    let last = match done {
        Ok(warnings) => Message::End(warnings),
        Err(Stop::Failed(error)) => Message::Failed(failure(&error, path, is_image)),
        Err(Stop::Unwanted) => return,
    };
    send(last);
}

fn image(
    path: &Path,
    options: &VideoOptions,
    send: &mut impl FnMut(Message) -> WantsMore,
) -> Result<Vec<String>, Stop> {
    options.validate()?;
    let options = ImageOptions::default().with_autorotate(options.autorotate).with_limits(options.limits);
    let image = video::open_image_with(path, &options)?;
    let warnings = texts(&image.warnings);
    let size = (image.frame.width, image.frame.height);
    let header = Header { kind: VisualKind::Image, size, frames: 1, duration: 0.0, warnings: warnings.clone() };
    wanted(send(Message::Header(header)))?;
    wanted(send(Message::Frame(image.frame.into())))?;
    Ok(warnings)
}

fn moving(
    path: &Path,
    options: &VideoOptions,
    send: &mut impl FnMut(Message) -> WantsMore,
) -> Result<Vec<String>, Stop> {
    let video = Video::open_with(path, options.clone())?;
    let info = video.info();
    let header = Header {
        kind: VisualKind::Video,
        size: (info.width, info.height),
        frames: video.sampled_indices().len(),
        duration: info.duration,
        warnings: texts(video.warnings()),
    };
    wanted(send(Message::Header(header)))?;
    let mut frames = video.frames()?;
    for frame in frames.by_ref() {
        wanted(send(Message::Frame(frame?.into())))?;
    }
    Ok(texts(frames.warnings()))
}

fn wanted(wants_more: WantsMore) -> Result<(), Stop> {
    if wants_more { Ok(()) } else { Err(Stop::Unwanted) }
}

fn texts(warnings: &[Warning]) -> Vec<String> {
    warnings.iter().take(MAX_WARNINGS).map(|warning| text::told(&warning.to_string())).collect()
}

/// What FFmpeg and the operating system say when memory runs out.
const OUT_OF_MEMORY: [&str; 3] = ["Cannot allocate memory", "out of memory", "there is no memory"];

fn failure(error: &longvu::Error, path: &Path, is_image: bool) -> Failure {
    let name = if is_image { "the picture" } else { "the video" };
    let message = text::chain(&Unnamed::of(error, &path.display().to_string(), name));
    let is_memory = OUT_OF_MEMORY.iter().any(|said| message.contains(said));
    Failure { kind: error.kind(), message, is_memory }
}

/// An error and its causes without the file's path.
#[derive(Debug)]
struct Unnamed {
    message: String,
    source: Option<Box<Self>>,
}

impl Unnamed {
    fn of(error: &dyn Error, path: &str, name: &str) -> Self {
        let message = error.to_string();
        let message = if path.is_empty() { message } else { message.replace(path, name) };
        Self { message, source: error.source().map(|source| Box::new(Self::of(source, path, name))) }
    }
}

impl fmt::Display for Unnamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Unnamed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use longvu::ErrorKind;

    use super::*;

    #[test]
    fn messages_do_not_name_the_file() {
        let path = PathBuf::from("/home/me/clips/a.mp4");
        let source = std::io::Error::other(format!("{} is gone", path.display()));
        let error = longvu::Error::from(video::Error::Io { path: path.clone(), source });
        let failure = failure(&error, &path, false);
        assert_eq!(failure.message, "the video: cannot be opened; check its permissions: the video is gone");
        assert_eq!((failure.kind, failure.is_memory), (ErrorKind::Internal, false));
    }

    #[test]
    fn running_out_of_memory_is_told_apart() {
        let reason = "Cannot allocate memory".to_owned();
        let error = longvu::Error::from(video::Error::Decode { path: "/a.mp4".into(), frames: 3, reason });
        assert!(failure(&error, Path::new("/a.mp4"), false).is_memory);
    }

    #[test]
    fn nothing_is_decoded_for_nobody() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/videos/video1.mp4");
        let mut seen = Vec::new();
        decode(&path, &VideoOptions::default(), |message| {
            seen.push(message);
            seen.len() < 3
        });
        assert!(matches!(seen[..], [Message::Header(_), Message::Frame(_), Message::Frame(_)]));
    }
}
