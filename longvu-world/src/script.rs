//! A whole video as data: scenes, and the objects in them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::things::TILE;
use crate::{
    Background, Colour, Direction, Error, LETTERS, Motion, Result, ScriptKind, ScriptOptions, Shape, Size, Thing,
};

/// Seconds that a blinking object is there, and then away, in thousandths.
pub(crate) const BLINK_MS: u32 = 1000;

/// One thing in a scene. Lengths are in thousandths of the picture's shorter side, times in thousandths of a second from
/// the start of the video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Object {
    /// What it is.
    pub thing: Thing,
    /// Its colour.
    pub colour: Colour,
    /// How large it is.
    pub size: Size,
    /// What it does.
    pub motion: Motion,
    /// Where its middle starts, from the left.
    pub x: i32,
    /// Where its middle starts, from the top.
    pub y: i32,
    /// How far it moves in all; 0 unless it moves.
    pub travel: i32,
    /// When it appears.
    pub start_ms: u32,
    /// When it is gone.
    pub end_ms: u32,
    /// Whether it is the one thing that the video shows only for a moment.
    pub needle: bool,
}

impl Object {
    /// Whether it can be seen at a time in seconds.
    #[must_use]
    pub fn is_visible(&self, time: f64) -> bool {
        self.is_visible_at(micros(time))
    }

    pub(crate) fn is_visible_at(&self, micros: u64) -> bool {
        let (start, end) = (u64::from(self.start_ms) * 1000, u64::from(self.end_ms) * 1000);
        let blinked_away =
            self.motion == Motion::Blink && (micros.saturating_sub(start) / (u64::from(BLINK_MS) * 1000)) % 2 == 1;
        (start..end).contains(&micros) && !blinked_away
    }

    /// Where its middle is at a time in seconds, from the left and from the top, in thousandths of the picture's shorter
    /// side.
    #[must_use]
    pub fn position(&self, time: f64) -> (f64, f64) {
        let [x, y] = self.place(micros(time), 1 << 16);
        (x as f64 / 65536.0, y as f64 / 65536.0)
    }

    /// Where its middle is, in steps of which `scale` make a thousandth of the shorter side.
    pub(crate) fn place(&self, micros: u64, scale: i64) -> [i64; 2] {
        let (start, end) = (i128::from(self.start_ms) * 1000, i128::from(self.end_ms) * 1000);
        let length = (end - start).max(1);
        let elapsed = (i128::from(micros) - start).clamp(0, length);
        let step = match self.motion {
            Motion::Move(direction) => direction.step(),
            Motion::Stand | Motion::Blink => (0, 0),
        };
        let tiles = i128::from(self.travel / TILE);
        let moved = ((tiles + 1) * elapsed / length).min(tiles) * i128::from(TILE);
        let along = |from: i32, step: i32| (i128::from(from) + i128::from(step) * moved) as i64 * scale;
        [along(self.x, step.0), along(self.y, step.1)]
    }

    /// Where it goes, if it moves.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        match self.motion {
            Motion::Move(direction) => Some(direction),
            Motion::Stand | Motion::Blink => None,
        }
    }

    /// Its shape, if it is no digit or letter.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        match self.thing {
            Thing::Shape(shape) => Some(shape),
            Thing::Digit(_) | Thing::Letter(_) => None,
        }
    }
}

/// A stretch of a video between two cuts. Times are in thousandths of a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scene {
    /// When it begins.
    pub start_ms: u32,
    /// When the next one begins, or the video ends.
    pub end_ms: u32,
    /// What lies behind the objects.
    pub background: Background,
    /// What is shown; objects do not overlap.
    pub objects: Vec<Object>,
}

impl Scene {
    /// Its times in seconds.
    #[must_use]
    pub fn times(&self) -> Range<f64> {
        f64::from(self.start_ms) / 1000.0..f64::from(self.end_ms) / 1000.0
    }
}

/// What a video's question about a count is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Counted {
    /// Every shape.
    All,
    /// Those of one outline.
    Shape(Shape),
    /// Those of one colour.
    Colour(Colour),
}

/// A whole video: all that is needed to draw any of its frames and to answer questions about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Script {
    pub(crate) seed: u64,
    pub(crate) kind: ScriptKind,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: u32,
    pub(crate) duration_ms: u32,
    pub(crate) counted: Option<Counted>,
    pub(crate) scenes: Vec<Scene>,
}

impl Script {
    /// The seed that it was drawn from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How it is built.
    #[must_use]
    pub fn kind(&self) -> ScriptKind {
        self.kind
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Frames a second of the video file.
    #[must_use]
    pub fn fps(&self) -> u32 {
        self.fps
    }

    /// Length in seconds.
    #[must_use]
    pub fn duration(&self) -> f64 {
        f64::from(self.duration_ms) / 1000.0
    }

    /// The scenes, one after the other from 0 to the end of the video; there is at least one.
    #[must_use]
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// What its question about a count is about, if it has one.
    #[must_use]
    pub fn counted(&self) -> Option<Counted> {
        self.counted
    }

    /// Every object with the place of its scene.
    pub fn objects(&self) -> impl Iterator<Item = (usize, &Object)> {
        self.scenes
            .iter()
            .enumerate()
            .flat_map(|(place, scene)| scene.objects.iter().map(move |object| (place, object)))
    }

    /// The thing that is seen only for a moment, with the place of its scene.
    #[must_use]
    pub fn needle(&self) -> Option<(usize, &Object)> {
        self.objects().find(|(_, object)| object.needle)
    }

    /// The objects that can be seen at a time in seconds.
    #[must_use]
    pub fn visible(&self, time: f64) -> Vec<&Object> {
        let micros = micros(time);
        let Some(scene) = self.scenes.get(self.scene_at(micros)) else { return Vec::new() };
        scene.objects.iter().filter(|object| object.is_visible_at(micros)).collect()
    }

    /// The place of the scene on screen; the last one's after the end.
    pub(crate) fn scene_at(&self, micros: u64) -> usize {
        let begun = self.scenes.partition_point(|scene| u64::from(scene.start_ms) * 1000 <= micros);
        begun.saturating_sub(1)
    }

    fn check(&self) -> Result<(), String> {
        let options = ScriptOptions {
            duration: self.duration(),
            fps: self.fps,
            size: self.height,
            kind: None,
            ..ScriptOptions::default()
        };
        options.validate().map_err(|error| error.to_string())?;
        if !(16..=3840).contains(&self.width) {
            return Err(format!("width is {}, but must be 16 to 3840 pixels", self.width));
        }
        let mut end = 0;
        for (place, scene) in self.scenes.iter().enumerate() {
            if scene.start_ms != end || scene.end_ms <= scene.start_ms {
                return Err(format!("scene {place} does not begin where the one before ends, or is empty"));
            }
            end = scene.end_ms;
            let own = scene.start_ms..=scene.end_ms;
            for object in &scene.objects {
                let known = match object.thing {
                    Thing::Shape(_) => true,
                    Thing::Digit(digit) => digit < 10,
                    Thing::Letter(letter) => LETTERS.contains(&letter),
                };
                let lies_inside = own.contains(&object.start_ms) && own.contains(&object.end_ms);
                if !known || !lies_inside || object.end_ms <= object.start_ms {
                    return Err(format!("scene {place} has a {} outside its times or that is unknown", object.thing));
                }
                if [object.x, object.y, object.travel].iter().any(|length| length.unsigned_abs() > 10_000) {
                    return Err(format!("scene {place} has a {} far outside the picture", object.thing));
                }
            }
        }
        if end != self.duration_ms {
            return Err("the last scene does not end with the video".to_owned());
        }
        if self.objects().filter(|(_, object)| object.needle).count() > 1 {
            return Err("there is more than one needle".to_owned());
        }
        Ok(())
    }
}

/// A script as it is read, before it is checked.
#[derive(Deserialize)]
struct Fields {
    seed: u64,
    kind: ScriptKind,
    width: u32,
    height: u32,
    fps: u32,
    duration_ms: u32,
    counted: Option<Counted>,
    scenes: Vec<Scene>,
}

impl TryFrom<Fields> for Script {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self> {
        let Fields { seed, kind, width, height, fps, duration_ms, counted, scenes } = fields;
        let script = Self { seed, kind, width, height, fps, duration_ms, counted, scenes };
        script.check().map_err(|reason| Error::InvalidScript { reason })?;
        Ok(script)
    }
}

/// Millionths of a second; 0 for a time before the start, or none.
pub(crate) fn micros(seconds: f64) -> u64 {
    // The cast saturates, and maps NaN to 0.
    (seconds * 1e6).round() as u64
}
