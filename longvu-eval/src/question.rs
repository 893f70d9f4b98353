//! A question with its options, and the video that it is about.

use std::path::PathBuf;

/// A multiple-choice question about a video, as a data set has it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Question {
    /// Its name, which no other of the data set has.
    pub id: String,
    /// The video: a file, or a folder of pictures.
    pub video: VideoRef,
    /// The question.
    pub text: String,
    /// The options' texts, as they are stored.
    pub options: Vec<String>,
    /// Position of the right option; `None` where it is not published.
    pub answer: Option<usize>,
    /// What it counts among, by the kind of group: `("duration", "long")`.
    pub groups: Vec<(&'static str, String)>,
    /// The `.srt` file, where the data set has one for the video.
    pub subtitles: Option<PathBuf>,
    /// Fields that a submission repeats.
    pub extra: Vec<(&'static str, String)>,
}

impl Question {
    /// A question without an answer, groups or subtitles.
    pub fn new(id: impl Into<String>, video: VideoRef, text: impl Into<String>, options: Vec<String>) -> Self {
        Self {
            id: id.into(),
            video,
            text: text.into(),
            options,
            answer: None,
            groups: Vec::new(),
            subtitles: None,
            extra: Vec::new(),
        }
    }

    /// Its group of a kind.
    pub fn group(&self, kind: &str) -> Option<&str> {
        self.groups.iter().find(|(name, _)| *name == kind).map(|(_, value)| value.as_str())
    }
}

/// Where a video is, and what part of it is meant.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoRef {
    /// Its name in the data set; questions about the same name and part share an encoding.
    pub name: String,
    /// The file, or where one of these suffixes makes a file of it ([`VideoRef::suffixes`]).
    pub path: PathBuf,
    /// Suffixes that `path` may have; empty for a path that is whole.
    pub suffixes: &'static [&'static str],
    /// Seconds from the start where the part that is meant begins and ends; all of it where there is none.
    pub bounds: Option<(f64, f64)>,
    /// Pictures a second, where the video is a folder of pictures.
    pub folder_fps: Option<f64>,
}

impl VideoRef {
    /// A whole video in a file.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), path: path.into(), suffixes: &[], bounds: None, folder_fps: None }
    }

    /// The name with the part, which tells encodings apart.
    pub fn key(&self) -> String {
        match self.bounds {
            Some((start, end)) => format!("{} {start}-{end}", self.name),
            None => self.name.clone(),
        }
    }

    /// The path of what is there: with the first suffix that makes a file, else as it stands.
    pub fn found(&self) -> PathBuf {
        let with = |suffix: &&str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        let mut candidates = self.suffixes.iter().map(with);
        candidates.find(|path| path.exists()).unwrap_or_else(|| match self.suffixes.first() {
            Some(first) => with(first),
            None => self.path.clone(),
        })
    }
}
