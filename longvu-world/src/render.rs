//! From a script to frames.

use crate::raster::{Figure, Painter, STEPS};
use crate::script::micros;
use crate::{Error, Object, Result, Script};

/// One picture of a video.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct DrawnFrame {
    /// Place in the sequence, from 0.
    pub index: usize,
    /// Seconds from the start of the video.
    pub timestamp: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 8-bit red, green, blue, row by row from the top: `[height, width, 3]`.
    pub rgb: Vec<u8>,
}

impl std::fmt::Debug for DrawnFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrawnFrame")
            .field("index", &self.index)
            .field("timestamp", &self.timestamp)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("rgb", &format_args!("[{} bytes]", self.rgb.len()))
            .finish()
    }
}

/// Draws frames of one script, in any order. It keeps the background of the scene it drew last, which makes the next frame
/// of that scene quick.
pub struct Renderer<'a> {
    script: &'a Script,
    width: u32,
    height: u32,
    background: Option<(usize, Vec<u8>)>,
    painter: Painter,
}

impl<'a> Renderer<'a> {
    /// Draws at the script's own size.
    #[must_use]
    pub fn new(script: &'a Script) -> Self {
        let (width, height) = script.size();
        Self { script, width, height, background: None, painter: Painter::default() }
    }

    /// The picture at a time in seconds, as RGB bytes, `[height, width, 3]`. Before the start it is the first, after the end
    /// the last scene's background.
    pub fn frame(&mut self, time: f64) -> Vec<u8> {
        let micros = micros(time);
        let place = self.script.scene_at(micros);
        let Some(scene) = self.script.scenes.get(place) else { return Vec::new() };
        let (width, height) = (self.width, self.height);
        let background = match &mut self.background {
            Some((known, background)) if *known == place => background,
            other => &mut other.insert((place, scene.background.fill(width, height))).1,
        };
        let mut rgb = background.clone();
        for object in scene.objects.iter().filter(|object| object.is_visible_at(micros)) {
            self.painter.paint(&figure(object, micros, width.min(height)), &mut rgb, width, height);
        }
        rgb
    }
}

/// An object at a time, in a picture whose shorter side has `short` pixels.
fn figure(object: &Object, micros: u64, short: u32) -> Figure {
    let scale = i64::from(short) * STEPS;
    let [x, y] = object.place(micros, scale).map(|place| place.div_euclid(1000));
    let radius = i64::from(object.size.extent()) * scale / 2000;
    Figure { thing: object.thing, rgb: object.colour.rgb(), x, y, radius }
}

/// The frames of a script at an even rate; from [`Script::frames`].
pub struct Frames<'a> {
    renderer: Renderer<'a>,
    fps: f64,
    next: usize,
}

impl Iterator for Frames<'_> {
    type Item = DrawnFrame;

    fn next(&mut self) -> Option<DrawnFrame> {
        let index = self.next;
        let timestamp = index as f64 / self.fps;
        if micros(timestamp) >= u64::from(self.renderer.script.duration_ms) * 1000 {
            return None;
        }
        self.next += 1;
        let rgb = self.renderer.frame(timestamp);
        Some(DrawnFrame { index, timestamp, width: self.renderer.width, height: self.renderer.height, rgb })
    }
}

impl Script {
    /// The picture at a time in seconds, as RGB bytes, `[height, width, 3]`; a pure function of the script and the time.
    ///
    /// For many frames, [`frames`](Self::frames) and [`Renderer`] are quicker.
    #[must_use]
    pub fn frame(&self, time: f64) -> Vec<u8> {
        Renderer::new(self).frame(time)
    }

    /// The frames at 0, 1 / `fps`, 2 / `fps`, … seconds, up to the end. Any rate will do; it does not depend on that of the
    /// video file.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a rate that is not above 0 and at most 1000.
    pub fn frames(&self, fps: f64) -> Result<Frames<'_>> {
        if !(fps > 0.0 && fps <= 1000.0) {
            let expected = "above 0 and at most 1000";
            return Err(Error::InvalidOption { option: "fps", value: fps.to_string(), expected });
        }
        Ok(Frames { renderer: Renderer::new(self), fps, next: 0 })
    }
}
