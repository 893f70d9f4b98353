//! What is kept of a video that was looked at.

use longvu::EncodedVideo;

use crate::encodings::{key::Key, pictures::Pictures};

/// The notes of a saved encoded video that the cache reads again.
const KEY: &str = "longvu_server_key";
const WARNINGS: &str = "longvu_server_warnings";

/// An encoded video or image, pictures of its frames, and what was wrong with the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub video: EncodedVideo,
    /// Of every sampled frame.
    pub pictures: Pictures,
    /// What decoding had to say, for every answer about it.
    pub warnings: Vec<String>,
}

impl Entry {
    /// Bytes that it takes.
    pub fn memory(&self) -> u64 {
        (self.video.memory() + self.pictures.memory()) as u64
    }

    /// The video with notes from which [`Entry::of_stored`] makes the rest.
    pub fn to_store(&self, key: &Key) -> EncodedVideo {
        let warnings = serde_json::Value::from(self.warnings.as_slice()).to_string();
        self.video.clone().with_note(KEY, key.as_str()).with_note(WARNINGS, warnings)
    }

    /// What was kept under `key`; `None` if that is not what these are.
    pub fn of_stored(key: &Key, video: EncodedVideo, pictures: Pictures) -> Option<Self> {
        let notes = video.notes();
        if notes.get(KEY).map(String::as_str) != Some(key.as_str()) || pictures.count() != video.sampled_frames() {
            return None;
        }
        let warnings = serde_json::from_str(notes.get(WARNINGS)?).ok()?;
        Some(Self { video, pictures, warnings })
    }
}

/// Where an encoding came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// This request's own work.
    Computed,
    /// Another request's work, which this one waited for.
    Shared,
    /// It was in memory.
    Memory,
    /// It was on the disk.
    Disk,
}

impl Origin {
    /// Its name in reports and numbers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Computed => "computed",
            Self::Shared => "shared",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}
