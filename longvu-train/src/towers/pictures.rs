//! Pictures of the world for the towers, drawn anew for every group of samples.

use longvu_vision::Preprocessor;
use longvu_world::{Aspect, Renderer, Script, ScriptKind, ScriptOptions, Split};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::Result;

/// Seconds of the videos that pictures are taken from.
const DURATION: f64 = 12.0;

/// A source of single frames, each from a video of its own.
pub(crate) struct Pictures {
    pub preprocessor: Preprocessor,
    /// Heights to draw at, in pixels.
    pub heights: Vec<u32>,
    /// Share that shows what its video shows for a moment only: digits and letters for the most part.
    pub needles: f64,
    /// Share that is 16:9 rather than square.
    pub wide: f64,
    pub split: Split,
    pub seed: u64,
}

/// A video, and a time in it.
pub(crate) struct Scene {
    pub script: Script,
    pub time: f64,
    pub rng: StdRng,
}

impl Pictures {
    /// What its pictures depend on beside places.
    pub fn describe(&self) -> String {
        format!("{:?} {:?} {} {} {}", self.preprocessor, self.heights, self.needles, self.wide, self.seed)
    }

    /// The `sample`-th picture of group `index`.
    pub fn scene(&self, index: u64, sample: usize) -> Result<Scene> {
        let place =
            self.seed.wrapping_mul(1 << 40).wrapping_add(index.wrapping_mul(1 << 12)).wrapping_add(sample as u64);
        let mut rng = StdRng::seed_from_u64(place);
        let height = self.heights.get(rng.random_range(0..self.heights.len().max(1))).copied().unwrap_or(128);
        let aspect = if rng.random_bool(self.wide) { Aspect::Wide } else { Aspect::Square };
        let options = ScriptOptions::default().with_duration(DURATION).with_size(height).with_aspect(aspect);
        let is_needle = self.needles > 0.0 && rng.random_bool(self.needles);
        let options = if is_needle { options.with_kind(ScriptKind::Needle) } else { options };
        let script = Script::draw(self.split.seed(place), &options)?;
        let time = rng.random_range(0.0..DURATION);
        let moment = script.needle().filter(|_| is_needle).map(|(_, needle)| f64::from(needle.start_ms) / 1000.0 + 0.5);
        Ok(Scene { script, time: moment.unwrap_or(time), rng })
    }

    /// The picture at a time, as the tower sees it: `[size, size, 3]` bytes.
    pub fn picture(&self, script: &Script, time: f64) -> Result<Vec<u8>> {
        let (width, height) = script.size();
        Ok(self.preprocessor.resize(&Renderer::new(script).frame(time), width, height)?)
    }
}

/// Changes what a camera or a codec would: brightness, and noise of a few levels.
pub(crate) fn disturb(picture: &mut [u8], rng: &mut StdRng) {
    let gain: f32 = rng.random_range(0.93..1.07);
    let offset: f32 = rng.random_range(-8.0..8.0);
    let noise: f32 = rng.random_range(0.0..6.0);
    for byte in picture {
        let value = f32::from(*byte) * gain + offset + noise * rng.random_range(-1.0f32..1.0);
        *byte = value.round().clamp(0.0, 255.0) as u8;
    }
}
