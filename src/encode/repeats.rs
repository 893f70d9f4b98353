//! Frames that repeat the one before them, told by their pixels.
//!
//! A slide, a screen on which nothing happens or a still comes out of a decoder as the same picture again and again.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{Error, Result};

/// Which frames are taken for a frame before them, and have what the towers made of that one.
///
/// A frame is compared with the last one that went through DINOv2, so that many small changes in a row do not add up
/// unseen. Both of its squares are compared, as they are resized for the towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeats {
    /// None: every frame goes through the towers.
    Off,
    /// Those of which no byte of red, green or blue differs by more than so many of its 255 levels.
    ///
    /// With 0, the default, they are the same pixels, and features are those that they would have of their own. With more, features
    /// are those of another frame, and answers may change.
    Within(u8),
}

impl Repeats {
    /// Levels by which a frame may differ from the one that it is taken for; 0 if it is taken for none.
    pub fn levels(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Within(levels) => levels,
        }
    }

    /// The same without what changes features.
    pub(crate) fn exact(self) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::Within(_) => Self::Within(0),
        }
    }
}

impl Default for Repeats {
    fn default() -> Self {
        Self::Within(0)
    }
}

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Within(levels) => levels.fmt(f),
        }
    }
}

/// Reads `off`, or levels from 0 to 255.
impl FromStr for Repeats {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let expected = "use `off`, or a number of levels from 0 to 255";
        let bad = |_| Error::Setting { name: "repeats", value: format!("`{text}`"), expected };
        text.parse().map(Self::Within).map_err(bad)
    }
}

/// What the towers see of a frame, in common with the frames that repeat it.
#[derive(Debug, Clone)]
pub(crate) struct Pixels {
    /// The sampled frame that they are of.
    pub source: usize,
    /// `[size, size, 3]` bytes for each tower.
    pub siglip: Arc<Vec<u8>>,
    pub dinov2: Arc<Vec<u8>>,
}

/// Finds repeats among a clip's frames.
pub(crate) struct Comparison {
    repeats: Repeats,
    /// Those of the last frame that was no repeat.
    last: Option<Pixels>,
}

impl Comparison {
    pub fn new(repeats: Repeats) -> Self {
        Self { repeats, last: None }
    }

    /// The pixels of the next frame, or of the one that it repeats.
    pub fn next(&mut self, sample: usize, siglip: Vec<u8>, dinov2: Vec<u8>) -> Pixels {
        if let (Repeats::Within(levels), Some(last)) = (self.repeats, &self.last)
            && are_within(levels, &last.dinov2, &dinov2)
            && are_within(levels, &last.siglip, &siglip)
        {
            return last.clone();
        }
        let pixels = Pixels { source: sample, siglip: Arc::new(siglip), dinov2: Arc::new(dinov2) };
        self.last = (self.repeats != Repeats::Off).then(|| pixels.clone());
        pixels
    }
}

/// Whether no byte differs by more than so many levels.
fn are_within(levels: u8, one: &[u8], other: &[u8]) -> bool {
    match levels {
        0 => one == other,
        _ => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.abs_diff(*other) <= levels),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The frame that each frame is taken for; its squares are `frame` and the same with a byte more.
    fn sources(repeats: Repeats, frames: &[Vec<u8>]) -> Vec<usize> {
        let mut comparison = Comparison::new(repeats);
        let longer = |frame: &Vec<u8>| [&frame[..], &[9]].concat();
        let next = |(sample, frame)| comparison.next(sample, longer(frame), frame.clone()).source;
        frames.iter().enumerate().map(next).collect()
    }

    #[test]
    fn small_changes_do_not_add_up() {
        let drifting: Vec<Vec<u8>> = (0..7).map(|level| vec![level, 100]).collect();
        assert_eq!(sources(Repeats::Within(0), &drifting), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(sources(Repeats::Within(1), &drifting), [0, 0, 2, 2, 4, 4, 6]);
        assert_eq!(sources(Repeats::Within(2), &drifting), [0, 0, 0, 3, 3, 3, 6]);
        assert_eq!(sources(Repeats::Within(255), &drifting), [0; 7]);
    }

    #[test]
    fn one_byte_of_either_square_decides() {
        let mut comparison = Comparison::new(Repeats::Within(3));
        let mut source =
            |sample, siglip: [u8; 3], dinov2: [u8; 3]| comparison.next(sample, siglip.to_vec(), dinov2.to_vec()).source;
        assert_eq!(source(0, [0, 0, 0], [5, 5, 5]), 0);
        assert_eq!(source(1, [0, 3, 0], [2, 5, 8]), 0);
        assert_eq!(source(2, [0, 0, 4], [5, 5, 5]), 2);
        assert_eq!(source(3, [0, 0, 4], [5, 5, 9]), 3);
    }

    #[test]
    fn settings_are_read_as_they_are_shown() {
        for repeats in [Repeats::Off, Repeats::Within(0), Repeats::Within(255)] {
            assert_eq!(repeats.to_string().parse::<Repeats>().unwrap(), repeats);
        }
        for text in ["", "256", "-1", "1.5", "on", " 2"] {
            let error = text.parse::<Repeats>().unwrap_err();
            assert!(error.to_string().contains("from 0 to 255") && error.settings() == ["repeats"], "{error}");
        }
    }

    proptest! {
        /// A frame is taken for the last that was taken for itself, where that is near enough, and else for itself.
        #[test]
        fn frames_are_compared_with_the_last_that_was_none(
            frames in prop::collection::vec(prop::collection::vec(0_u8..6, 2), 1..20), levels in 0_u8..6,
        ) {
            let sources = sources(Repeats::Within(levels), &frames);
            let mut last = 0;
            for (sample, &source) in sources.iter().enumerate() {
                let far = frames[sample].iter().zip(&frames[last]).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                if sample == 0 || far > levels {
                    last = sample;
                }
                prop_assert_eq!(source, last);
            }
            prop_assert!(self::sources(Repeats::Off, &frames).into_iter().eq(0..frames.len()));
        }
    }
}
