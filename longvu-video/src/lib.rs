#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bitstream;
mod boxes;
mod colour;
mod crop;
mod decoder;
mod demuxer;
mod error;
mod feed;
mod ffi;
mod formats;
mod frame;
mod frames;
mod headers;
mod heif;
mod image_file;
mod info;
mod limits;
mod matroska;
mod mp4;
mod options;
mod orientation;
mod rate;
mod sampling;
mod scan;
mod select;
mod sniff;
mod timeline;
mod video;

pub use error::{Error, Result, Warning};
pub use frame::Frame;
pub use frames::{Frames, Stats};
pub use image_file::{is_image, open_image};
pub use info::VideoInfo;
pub use options::{Decoding, Sampling, VideoOptions};
pub use video::Video;

/// The largest picture this crate decodes, in pixels (16384 x 8192).
///
/// Such a frame takes 400 MB as RGB. A file that claims more is refused with
/// [`Error::TooLarge`] before the picture is allocated.
pub const MAX_PIXELS: u64 = 1 << 27;
