//! What a video can show: shapes, digits and letters, with their colours, sizes and motions.

use serde::{Deserialize, Serialize};

/// An enum of names in lower case, with `ALL` and `name()`.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name { $($(#[$note])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The word for it in questions and answers.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(crate) use named;

named! {
    /// The colour of an object.
    Colour {
        /// Red.
        Red = "red",
        /// Orange.
        Orange = "orange",
        /// Yellow.
        Yellow = "yellow",
        /// Green.
        Green = "green",
        /// Blue.
        Blue = "blue",
        /// Purple.
        Purple = "purple",
        /// White.
        White = "white",
        /// Black.
        Black = "black",
    }
}

impl Colour {
    /// Its red, green and blue.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [220, 20, 30],
            Self::Orange => [255, 135, 0],
            Self::Yellow => [255, 235, 40],
            Self::Green => [20, 160, 50],
            Self::Blue => [25, 70, 235],
            Self::Purple => [150, 30, 190],
            Self::White => [255, 255, 255],
            Self::Black => [0, 0, 0],
        }
    }
}

named! {
    /// The outline of an object.
    Shape {
        /// A disc.
        Circle = "circle",
        /// A square with level sides.
        Square = "square",
        /// A triangle that points up.
        Triangle = "triangle",
        /// A star of five points.
        Star = "star",
        /// An upright cross with arms of equal length.
        Cross = "cross",
        /// A ring with a hole of half its width.
        Ring = "ring",
    }
}

impl Shape {
    /// The word for several of them.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Star => "stars",
            Self::Cross => "crosses",
            Self::Ring => "rings",
        }
    }
}

named! {
    /// How large an object is.
    Size {
        /// One tile.
        Small = "small",
        /// Two tiles by two.
        Medium = "medium",
        /// Three tiles by three.
        Large = "large",
    }
}

/// The side of a tile, in thousandths of the picture's shorter side. Objects stand on a grid of tiles, eight to the shorter
/// side, and move from one to the next: a small model that sees a picture in patches then has few ways to learn in which a
/// thing can lie across them.
pub(crate) const TILE: i32 = 125;

/// How much smaller than its tiles an object is drawn, so that neighbours do not touch.
const MARGIN: i32 = 16;

impl Size {
    /// Tiles along a side of the square around an object.
    #[must_use]
    pub fn tiles(self) -> i32 {
        match self {
            Self::Small => 1,
            Self::Medium => 2,
            Self::Large => 3,
        }
    }

    /// The side of the square around an object, in thousandths of the picture's shorter side.
    #[must_use]
    pub fn extent(self) -> i32 {
        self.tiles() * TILE - MARGIN
    }
}

named! {
    /// Where a moving object goes.
    Direction {
        /// To the left.
        Left = "left",
        /// To the right.
        Right = "right",
        /// Upwards.
        Up = "up",
        /// Downwards.
        Down = "down",
    }
}

impl Direction {
    /// The step in x, to the right, and y, downwards.
    #[must_use]
    pub fn step(self) -> (i32, i32) {
        match self {
            Self::Left => (-1, 0),
            Self::Right => (1, 0),
            Self::Up => (0, -1),
            Self::Down => (0, 1),
        }
    }
}

/// What an object does while it is on screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Motion {
    /// Nothing.
    Stand,
    /// It goes straight on, a tile at a time, and stays as long on each.
    Move(Direction),
    /// It is there for a second, away for a second, and so on.
    Blink,
}

/// Letters that are drawn. Missing are those that look like another letter or a digit, and `a` and `i`, which are words.
pub const LETTERS: [char; 15] = ['c', 'e', 'f', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 't', 'u', 'v', 'x', 'y'];

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Thing {
    /// A shape.
    Shape(Shape),
    /// A digit, 0 to 9.
    Digit(u8),
    /// One of [`LETTERS`], drawn as a capital.
    Letter(char),
}

impl Thing {
    /// Whether it is a digit or a letter.
    #[must_use]
    pub fn is_glyph(self) -> bool {
        !matches!(self, Self::Shape(_))
    }

    /// The word for its kind: `shape`, `digit` or `letter`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Shape(_) => "shape",
            Self::Digit(_) => "digit",
            Self::Letter(_) => "letter",
        }
    }

    /// What answers "which one?": `star`, `7`, `k`.
    #[must_use]
    pub fn answer(self) -> String {
        match self {
            Self::Shape(shape) => shape.name().to_owned(),
            Self::Digit(digit) => digit.to_string(),
            Self::Letter(letter) => letter.to_string(),
        }
    }
}

impl std::fmt::Display for Thing {
    /// `star`, `digit 7`, `letter k`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape(shape) => f.write_str(shape.name()),
            _ => write!(f, "{} {}", self.class(), self.answer()),
        }
    }
}

/// A word with its indefinite article.
pub(crate) fn with_article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {words}")
}

/// Numbers in words, from zero.
pub(crate) const NUMBERS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_serde_writes() {
        for colour in Colour::ALL {
            assert_eq!(serde_json::to_value(colour).unwrap(), colour.name());
        }
        for shape in Shape::ALL {
            assert_eq!(serde_json::to_value(shape).unwrap(), shape.name());
        }
    }

    #[test]
    fn articles_fit_every_phrase() {
        assert_eq!(with_article("orange star"), "an orange star");
        assert_eq!(with_article("red star"), "a red star");
        assert_eq!(Thing::Letter('k').to_string(), "letter k");
    }

    #[test]
    fn colours_are_far_apart() {
        for (place, one) in Colour::ALL.iter().enumerate() {
            for other in &Colour::ALL[..place] {
                let apart: u32 = one.rgb().iter().zip(other.rgb()).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
                assert!(apart >= 120, "{one} and {other}: {apart}");
            }
        }
    }
}
