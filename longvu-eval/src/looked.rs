//! An encoded video with what is known of its file, from the file itself or from a folder of encodings.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use longvu::{EncodedVideo, LongVu, VideoOptions, llm::Conversation};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, FrameRule, Result, VideoRef, visual::Visual};

/// A folder of encoded videos by the content of their files, so that later questions do no work of the towers.
///
/// Names are the SHA-256 of the video's file, and a short one of everything else that the encoding depends on. What does
/// not fit the model is encoded again.
#[derive(Debug, Clone)]
pub struct Encodings {
    folder: PathBuf,
    /// The model and its settings.
    model: String,
}

impl Encodings {
    /// A folder, made if need be, for the encodings of a model of these settings.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn new(folder: impl Into<PathBuf>, model: &Value) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(Error::write(&folder))?;
        Ok(Self { folder, model: model.to_string() })
    }

    /// Where the encoding of a source is, or would be; `None` for a source that is no readable file.
    fn place(&self, source: &Source<'_>) -> Option<PathBuf> {
        let mut content = Sha256::new();
        io::copy(&mut File::open(source.path()).ok()?, &mut content).ok()?;
        let settings = Sha256::digest(format!("{} {}", self.model, source.sampling()));
        let (content, settings) = (format!("{:x}", content.finalize()), format!("{settings:x}"));
        Some(self.folder.join(format!("{content}-{}.longvu", &settings[..12])))
    }
}

/// What is to be looked at.
pub(crate) enum Source<'a> {
    /// A video of a data set.
    Ruled { video: &'a VideoRef, rule: &'a FrameRule },
    /// A file, sampled as the program samples.
    File { path: &'a Path, options: &'a VideoOptions },
}

impl Source<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Self::Ruled { video, .. } => video.found(),
            Self::File { path, .. } => path.to_path_buf(),
        }
    }

    /// Which frames are taken, in words.
    fn sampling(&self) -> String {
        match self {
            Self::Ruled { video, rule } => format!("{rule:?} {:?}", video.bounds),
            Self::File { options, .. } => format!("{options:?}"),
        }
    }

    fn open(&self) -> longvu::Result<Visual> {
        match self {
            Self::Ruled { video, rule } => Visual::open(video, rule),
            Self::File { path, options } => Visual::sampled(path, options),
        }
    }
}

/// A video that was encoded.
pub(crate) struct Looked {
    pub encoded: EncodedVideo,
    /// Frames a second.
    pub rate: f64,
    pub warnings: Vec<String>,
}

/// Remarks of an encoding.
const RATE: &str = "frame_rate";
const WARNINGS: &str = "warnings";

impl Looked {
    /// Looks at a source, or takes what was kept of it.
    ///
    /// # Errors
    /// As [`LongVu::encode`], and an encoding that cannot be written.
    pub fn at(model: &LongVu, source: &Source<'_>, encodings: Option<&Encodings>) -> longvu::Result<Self> {
        let place = encodings.and_then(|encodings| encodings.place(source));
        if let Some(place) = place.as_ref().filter(|place| place.exists()) {
            match model.load_encoded(place) {
                Ok(encoded) => return Ok(Self::kept(encoded).with_remark()),
                Err(error) => tracing::warn!(path = %place.display(), %error, "encoded again"),
            }
        }
        let visual = source.open()?;
        let (warnings, rate) = (visual.warnings(), visual.rate);
        let encoded = model.encode(visual.clip)?;
        let warnings = warnings();
        if let Some(place) = place {
            let noted = encoded.clone().with_note(RATE, rate.to_string());
            noted.with_note(WARNINGS, Value::from(warnings.clone()).to_string()).save(place)?;
        }
        Ok(Self { encoded, rate, warnings }.with_remark())
    }

    /// With what is to be known of repeated frames among the warnings.
    fn with_remark(mut self) -> Self {
        self.warnings.extend(self.encoded.repeats_remark());
        self
    }

    fn kept(encoded: EncodedVideo) -> Self {
        let note = |name: &str| encoded.notes().get(name).map(String::as_str).unwrap_or_default();
        let rate = note(RATE).parse().unwrap_or(1.0);
        let warnings = serde_json::from_str(note(WARNINGS)).unwrap_or_default();
        Self { encoded, rate, warnings }
    }

    /// Indices of the sampled frames among the video's.
    pub fn indices(&self) -> Vec<usize> {
        self.encoded.samples().iter().map(|frame| frame.index).collect()
    }
}

/// Whether an error is this video's or this question's, and not the model's, the machine's, or a wish to stop.
pub(crate) fn is_of_the_video(error: &longvu::Error) -> bool {
    use longvu::{Error, llm};
    match error {
        Error::Video(_)
        | Error::Vision(_)
        | Error::NoFrames
        | Error::Panicked { .. }
        | Error::EmptyQuestion
        | Error::PromptTooLong { .. }
        | Error::VisualsTooLarge { .. } => true,
        Error::Llm(error) => matches!(
            error,
            llm::Error::PlaceholderInText { .. }
                | llm::Error::SpecialTokenInText { .. }
                | llm::Error::TextTooLong { .. }
        ),
        _ => false,
    }
}

/// Refuses a system prompt that no question can have, before a video is looked at.
pub(crate) fn check_system(model: &LongVu, system: Option<&str>) -> Result<()> {
    let Some(system) = system else { return Ok(()) };
    let mut conversation = Conversation::new(0).with_system(system);
    conversation.push_user("?");
    let prompt = model.prompt_ids(&conversation)?;
    let (tokens, budget) = (prompt.text_ids_without_placeholders().len(), model.budget());
    match budget.room(tokens) {
        0 => {
            let (window, reserved) = (budget.max_len, budget.inference_max_length);
            Err(longvu::Error::PromptTooLong { tokens, window, reserved }.into())
        }
        _ => Ok(()),
    }
}
