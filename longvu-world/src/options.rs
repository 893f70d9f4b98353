//! What kind of video to draw.

use serde::{Deserialize, Serialize};

use crate::things::named;
use crate::{Error, Result};

named! {
    /// How a video is built.
    ScriptKind {
        /// One scene.
        Single = "single",
        /// Two to four scenes with cuts between them.
        Cuts = "cuts",
        /// One long scene in which nothing moves, with up to two short ones before or after it.
        Still = "still",
        /// Many scenes, and one thing that is on screen for about a second: a digit, a letter, or a shape seen nowhere else.
        Needle = "needle",
    }
}

impl ScriptKind {
    /// The shortest video of this kind, in seconds.
    #[must_use]
    pub fn least_duration(self) -> f64 {
        match self {
            Self::Single => 1.0,
            Self::Cuts => 4.0,
            Self::Still => 6.0,
            Self::Needle => 12.0,
        }
    }
}

/// The shape of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Aspect {
    /// As wide as high.
    #[default]
    Square,
    /// 16:9, to the nearest even width.
    Wide,
}

/// Settings for [`Script::draw`](crate::Script::draw).
///
/// ```
/// use longvu_world::{Aspect, ScriptKind, ScriptOptions};
/// let options = ScriptOptions::default().with_duration(180.0).with_kind(ScriptKind::Needle).with_aspect(Aspect::Wide);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ScriptOptions {
    /// Length in seconds, rounded to a thousandth. Default: 8.
    pub duration: f64,
    /// Frames a second of the video file. Default: 8.
    pub fps: u32,
    /// Height in pixels. Default: 378.
    pub size: u32,
    /// Square or wide. Default: square.
    pub aspect: Aspect,
    /// How the video is built. Default: drawn from the seed, among the kinds that the duration allows.
    pub kind: Option<ScriptKind>,
    /// Share of digits and letters, from 0 to 1, among the things that can be one: all but those that a question counts and
    /// those around a needle. Default: four in five needles, and one in six or eight of the others.
    pub glyphs: Option<f64>,
}

impl Default for ScriptOptions {
    fn default() -> Self {
        Self { duration: 8.0, fps: 8, size: 378, aspect: Aspect::Square, kind: None, glyphs: None }
    }
}

impl ScriptOptions {
    /// The longest video, in seconds.
    pub const MAX_DURATION: f64 = 6.0 * 3600.0;

    /// Sets [`duration`](Self::duration), in seconds.
    #[must_use]
    pub fn with_duration(mut self, seconds: f64) -> Self {
        self.duration = seconds;
        self
    }

    /// Sets [`fps`](Self::fps).
    #[must_use]
    pub fn with_fps(mut self, fps: u32) -> Self {
        self.fps = fps;
        self
    }

    /// Sets [`size`](Self::size), in pixels.
    #[must_use]
    pub fn with_size(mut self, height: u32) -> Self {
        self.size = height;
        self
    }

    /// Sets [`aspect`](Self::aspect).
    #[must_use]
    pub fn with_aspect(mut self, aspect: Aspect) -> Self {
        self.aspect = aspect;
        self
    }

    /// Sets [`kind`](Self::kind).
    #[must_use]
    pub fn with_kind(mut self, kind: ScriptKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets [`glyphs`](Self::glyphs).
    #[must_use]
    pub fn with_glyphs(mut self, share: f64) -> Self {
        self.glyphs = Some(share);
        self
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn picture_size(&self) -> (u32, u32) {
        let width = match self.aspect {
            Aspect::Square => self.size,
            Aspect::Wide => (self.size.saturating_mul(8) + 4) / 9 * 2,
        };
        (width, self.size)
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a duration that is too short for its kind or above
    /// [`MAX_DURATION`](Self::MAX_DURATION), a rate outside of 1 to 120, a size outside of 16 to 2160, or a share outside of
    /// 0 to 1.
    pub fn validate(&self) -> Result<()> {
        let wrong = |option, value: String, expected| Err(Error::InvalidOption { option, value, expected });
        let least = self.kind.unwrap_or(ScriptKind::Single).least_duration();
        if !(self.duration >= least && self.duration <= Self::MAX_DURATION) {
            let expected = match self.kind {
                None | Some(ScriptKind::Single) => "1 to 21600 seconds",
                Some(ScriptKind::Cuts) => "4 to 21600 seconds for a video with cuts",
                Some(ScriptKind::Still) => "6 to 21600 seconds for a video with a still stretch",
                Some(ScriptKind::Needle) => "12 to 21600 seconds for a video with a needle",
            };
            return wrong("duration", self.duration.to_string(), expected);
        }
        if !(1..=120).contains(&self.fps) {
            return wrong("fps", self.fps.to_string(), "1 to 120");
        }
        if !(16..=2160).contains(&self.size) {
            return wrong("size", self.size.to_string(), "16 to 2160 pixels");
        }
        if let Some(share) = self.glyphs.filter(|share| !(0.0..=1.0).contains(share)) {
            return wrong("glyphs", share.to_string(), "a share from 0 to 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let base = ScriptOptions::default;
        for options in [
            base().with_duration(f64::NAN),
            base().with_duration(0.5),
            base().with_duration(1e9),
            base().with_duration(11.0).with_kind(ScriptKind::Needle),
            base().with_fps(0),
            base().with_size(0),
            base().with_glyphs(1.5),
            base().with_glyphs(f64::NAN),
            base().with_size(u32::MAX).with_aspect(Aspect::Wide),
        ] {
            assert!(matches!(options.validate(), Err(Error::InvalidOption { .. })), "{options:?}");
        }
        base().validate().unwrap();
    }

    #[test]
    fn wide_pictures_are_16_to_9() {
        let wide = |size| ScriptOptions::default().with_size(size).with_aspect(Aspect::Wide).picture_size();
        assert_eq!([wide(720), wide(378), wide(360)], [(1280, 720), (672, 378), (640, 360)]);
    }
}
