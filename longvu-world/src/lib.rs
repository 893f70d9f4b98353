#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod altered;
mod background;
mod caption;
mod compose;
mod error;
mod error_kind;
mod font;
mod judge;
mod layout;
#[cfg(feature = "mp4")]
mod mp4;
mod options;
mod outline;
mod question;
mod raster;
mod render;
mod rng;
mod script;
mod split;
mod things;
mod vocabulary;
mod wording;

#[doc(hidden)]
pub use background::{Background, Texture, Tone};
pub use error::{Error, Result};
pub use error_kind::ErrorKind;
#[doc(hidden)]
pub use judge::{matches, matches_description, matches_place};
#[cfg(feature = "mp4")]
pub use mp4::VideoCodec;
pub use options::{Aspect, ScriptKind, ScriptOptions};
pub use question::{Question, QuestionKind};
#[doc(hidden)]
pub use render::Renderer;
pub use render::{DrawnFrame, Frames};
#[doc(hidden)]
pub use script::Counted;
pub use script::{Object, Scene, Script};
#[doc(hidden)]
pub use split::Split;
#[doc(hidden)]
pub use things::LETTERS;
pub use things::{Colour, Direction, Motion, Shape, Size, Thing};
#[doc(hidden)]
pub use vocabulary::vocabulary;
