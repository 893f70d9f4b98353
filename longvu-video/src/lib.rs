#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bitstream;
mod decoder;
mod demuxer;
mod error;
mod feed;
mod ffi;
mod formats;
mod frame;
mod frames;
mod image_file;
mod info;
mod limits;
mod options;
mod orientation;
mod picture;
mod sampling;
mod scan;
mod sniff;
mod source;
mod timeline;
mod video;

pub use error::{Error, Result, Warning};
pub use formats::{FormatInfo, formats};
pub use frame::Frame;
pub use frames::{Frames, Stats};
pub use image_file::{Image, ImageOptions, is_image, open_image, open_image_with};
pub use info::{VideoInfo, path_text};
pub use limits::{Limits, MAX_ANIMATION_PIXELS, MAX_JPEG_BYTES, MAX_METADATA_BYTES, MAX_PIXELS, MAX_SIDE};
pub use options::{Decoding, Sampling, VideoOptions};
pub use video::Video;
