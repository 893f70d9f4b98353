//! What lies behind the objects: dull colours that no object has.

use serde::{Deserialize, Serialize};

use crate::rng::mix;
use crate::things::named;

named! {
    /// A dull colour of middle brightness.
    Tone {
        /// Neutral.
        Grey = "grey",
        /// Bluish.
        Slate = "slate",
        /// Greenish.
        Sage = "sage",
        /// Brownish.
        Tan = "tan",
        /// Reddish.
        Mauve = "mauve",
    }
}

impl Tone {
    /// Its red, green and blue.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Grey => [124, 124, 124],
            Self::Slate => [98, 114, 134],
            Self::Sage => [112, 132, 110],
            Self::Tan => [150, 132, 108],
            Self::Mauve => [138, 114, 136],
        }
    }
}

named! {
    /// A faint pattern.
    Texture {
        /// Slanted stripes.
        Stripes = "striped",
        /// A chequerboard.
        Checks = "chequered",
        /// Dots in rows.
        Dots = "dotted",
        /// Small patches of any brightness.
        Speckles = "speckled",
    }
}

/// What fills the picture behind the objects of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Background {
    /// One colour.
    Plain(Tone),
    /// From one colour to another.
    Graded {
        /// At the top, or on the left.
        from: Tone,
        /// At the bottom, or on the right.
        to: Tone,
        /// From left to right rather than from top to bottom.
        sideways: bool,
    },
    /// A pattern in two shades of a colour.
    Textured {
        /// The colour.
        tone: Tone,
        /// The pattern.
        texture: Texture,
        /// What the patches of [`Texture::Speckles`] are drawn from.
        seed: u32,
    },
}

/// How much brighter or darker a texture's shades are than its tone.
const CONTRAST: i32 = 11;

impl Background {
    /// The word for its kind: `plain`, `graded`, or that of its texture.
    #[must_use]
    pub fn style(self) -> &'static str {
        match self {
            Self::Plain(_) => "plain",
            Self::Graded { .. } => "graded",
            Self::Textured { texture, .. } => texture.name(),
        }
    }

    /// The picture without objects, as RGB bytes, `[height, width, 3]`.
    pub(crate) fn fill(self, width: u32, height: u32) -> Vec<u8> {
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        let short = width.min(height).max(1);
        // Thousandths of the shorter side, at the middle of each pixel: the pattern does not depend on the size.
        let places = |length: u32| -> Vec<i32> {
            (0..u64::from(length)).map(|at| ((at * 2 + 1) * 500 / u64::from(short)) as i32).collect()
        };
        let (columns, rows) = (places(width), places(height));
        for (y, down) in rows.iter().enumerate() {
            for (x, right) in columns.iter().enumerate() {
                let pixel = match self {
                    Self::Plain(tone) => tone.rgb(),
                    Self::Graded { from, to, sideways: true } => between(from, to, x as u32, width),
                    Self::Graded { from, to, sideways: false } => between(from, to, y as u32, height),
                    Self::Textured { tone, texture, seed } => shaded(tone, shade(texture, seed, *right, *down)),
                };
                rgb.extend_from_slice(&pixel);
            }
        }
        rgb
    }
}

/// The colour at a place of `length` on the way between two tones, the first made brighter and the second darker.
fn between(from: Tone, to: Tone, at: u32, length: u32) -> [u8; 3] {
    let (from, to) = (shaded(from, 2 * CONTRAST), shaded(to, -2 * CONTRAST));
    let (at, whole) = (u64::from(at) * 2 + 1, u64::from(length) * 2);
    std::array::from_fn(|i| ((u64::from(from[i]) * (whole - at) + u64::from(to[i]) * at + whole / 2) / whole) as u8)
}

fn shaded(tone: Tone, by: i32) -> [u8; 3] {
    tone.rgb().map(|level| (i32::from(level) + by).clamp(0, 255) as u8)
}

/// How much brighter a texture is at a place, in thousandths of the picture's shorter side.
fn shade(texture: Texture, seed: u32, x: i32, y: i32) -> i32 {
    let bright = match texture {
        Texture::Stripes => (x + y) / 55 % 2 == 0,
        Texture::Checks => (x / 70 + y / 70) % 2 == 0,
        Texture::Dots => {
            let (dx, dy) = (x % 80 - 40, y % 80 - 40);
            dx * dx + dy * dy < 22 * 22
        }
        Texture::Speckles => {
            let cell = ((x / 24) as u64) << 32 | (y / 24) as u64;
            let range = 2 * CONTRAST as u64 + 1;
            return (mix(cell ^ u64::from(seed).rotate_left(48)) % range) as i32 - CONTRAST;
        }
    };
    if bright { CONTRAST } else { -CONTRAST }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Colour;

    #[test]
    fn every_object_stands_out_from_every_background() {
        for tone in Tone::ALL {
            for shade in [-2 * CONTRAST, 0, 2 * CONTRAST] {
                for colour in Colour::ALL {
                    let pairs = shaded(tone, shade).into_iter().zip(colour.rgb());
                    let apart: u32 = pairs.map(|(a, b)| u32::from(a.abs_diff(b))).sum();
                    assert!(apart >= 120, "{colour} on {tone} {shade}: {apart}");
                }
            }
        }
    }

    #[test]
    fn patterns_do_not_depend_on_the_size() {
        let checks = Background::Textured { tone: Tone::Grey, texture: Texture::Checks, seed: 0 };
        let (small, large) = (checks.fill(50, 50), checks.fill(250, 250));
        for (x, y) in [(3, 4), (20, 31), (44, 12)] {
            assert_eq!(small[(y * 50 + x) * 3], large[((y * 5 + 2) * 250 + x * 5 + 2) * 3]);
        }
    }

    #[test]
    fn a_gradient_runs_from_one_tone_to_the_other() {
        let graded = Background::Graded { from: Tone::Grey, to: Tone::Grey, sideways: true };
        let row: Vec<u8> = graded.fill(100, 1).chunks(3).map(|pixel| pixel[0]).collect();
        assert!(row.is_sorted_by(|a, b| a >= b));
        assert_eq!((row[0], row[99]), (146, 102));
    }
}
